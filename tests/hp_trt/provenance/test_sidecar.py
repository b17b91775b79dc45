from __future__ import annotations

import json

import pytest

from engines.file_record import FileRecord
from hp_trt.provenance.sidecar import beside, is_sidecar, read_sidecar, sidecar_text, without_folders
from tests.hp_trt.provenance.sealing import origin

WRITTEN = {
    "name": "out.mp4",
    "result": FileRecord(sha256="c" * 64, bytes=12),
    "mark": ("org.hp-trt.mark.1", 0x0A1B2C3D),
    "label": False,
    "signed": ("A signer", "es256"),
    "left_out": {"credentials": "not asked for"},
    "consent": "she said yes",
    "notes": ["a note", "a note"],
}


@pytest.fixture
def place(tmp_path):
    path = beside(tmp_path / "out.mp4")
    path.write_text(sidecar_text(origin(), **WRITTEN))
    return path


def test_it_stands_beside_the_file_and_is_read_as_it_was_written(place):
    assert place.name == "out.mp4.json" and is_sidecar(place)
    found = read_sidecar(place)
    assert found.name == "out.mp4" and found.result == WRITTEN["result"]
    assert (found.mark_id, found.signer, found.consent) == (0x0A1B2C3D, "A signer", "she said yes")
    assert found.left_out == {"credentials": "not asked for"} and found.licence == "Apache-2.0"
    assert found.inputs == origin().inputs
    said = json.loads(place.read_text())
    assert (said["seed"], said["notes"], said["digital_source_type"]) == (
        7,
        ["a note"],
        "compositeWithTrainedAlgorithmicMedia",
    )


def test_what_is_not_there_is_null_and_read_as_none(place):
    place.write_text(sidecar_text(origin(), **{**WRITTEN, "mark": None, "signed": None, "consent": None}))
    found = read_sidecar(place)
    assert (found.mark_id, found.signer, found.consent) == (None, None, None)


def test_a_key_that_a_later_program_adds_is_passed_over(place):
    place.write_text(json.dumps(json.loads(place.read_text()) | {"weather": "fine"}))
    assert read_sidecar(place).mark_id == 0x0A1B2C3D


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "other"}, "format must be 'hp-trt provenance', got 'other'"),
        ({"schema": 2}, "it is of schema 2, this program reads 1; a newer hp-trt reads it"),
        ({"schema": True}, "schema must be a whole number"),
        ({"result": {"name": "../x", "sha256": "c" * 64, "bytes": 1}}, "result.name must be a file's name without"),
        ({"result": {"name": "x", "sha256": "C" * 64, "bytes": 1}}, "result.sha256 must be 64 lower-case hex"),
        ({"result": {"name": "x", "sha256": "c" * 64, "bytes": -1}}, "result.bytes must be a whole number"),
        ({"result": [1]}, "result must be an object"),
        ({"mark": {"id": "0A1B2C3D"}}, "mark.id must be 8 lower-case hex digits"),
        ({"mark": 3}, "mark must be an object"),
        ({"left_out": "all"}, "left_out must be a list"),
        ({"inputs": {"portrait": {"name": None, "sha256": None, "of": "rumour"}}}, "inputs.portrait.of must be one of"),
        ({"consent": ["yes"]}, "consent must be text"),
    ],
)
def test_a_foreign_file_is_read_with_types(place, change, says):
    place.write_text(json.dumps(json.loads(place.read_text()) | change))
    with pytest.raises(ValueError, match=says):
        read_sidecar(place)


@pytest.mark.parametrize("key", ["format", "schema", "result", "mark", "credentials", "left_out", "consent", "inputs"])
def test_a_key_that_is_missing_is_told(place, key):
    said = json.loads(place.read_text())
    del said[key]
    place.write_text(json.dumps(said))
    with pytest.raises(ValueError, match=f"{key} is missing"):
        read_sidecar(place)


def test_what_is_no_text_of_json_or_too_much_of_it_is_no_sidecar(place):
    for content in (b"", b"{", b"[" * 10**6, b'{"a": NaN}', b"\xff\xfe", b" " * ((1 << 20) + 1)):
        place.write_bytes(content)
        assert not is_sidecar(place)
        with pytest.raises(ValueError, match=r".+"):
            read_sidecar(place)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("the sound of /home/me/a b/talk.mp4 is missing", "the sound of talk.mp4 is missing"),
        ("clips/talk.mp4: half of it", "talk.mp4: half of it"),
        ("/srv/other/file.bin, and ~/more/file2.bin", "file.bin, and file2.bin"),
        ("12.5 frames/s and/or 3/4 of http://host/x", "12.5 frames/s and/or 3/4 of http://host/x"),
    ],
)
def test_a_note_names_files_without_their_folders(text, told):
    assert without_folders(text, ["/home/me/a b/talk.mp4", "clips/talk.mp4"]) == told
