from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.errors import InputError
from hp_trt.provenance import credentials, mark
from hp_trt.provenance.verify import Report, verify_file
from tests.hp_trt.clips import make_clip, make_sound
from tests.hp_trt.provenance.sealing import BlockFinder, BlockMark, seal_for, write_clip


@pytest.fixture
def ours(tmp_path, monkeypatch) -> Path:
    """A clip of ours, with everything."""
    out = tmp_path / "ours" / "out.mp4"
    out.parent.mkdir()
    return write_clip(out, seal_for(out, patch=monkeypatch, mark_id=0x0A1B2C3D))


def look(path: Path, anchor: Path | None = None) -> Report:
    return verify_file(path, anchor, BlockFinder())


def sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def test_a_file_of_ours_is_intact_and_all_three_say_the_same(ours, tmp_path):
    report = look(ours)
    assert (report.verdict, report.broken) == ("intact", ())
    assert report.credentials.state == "valid" and report.mark.payload == 0x0A1B2C3D
    assert report.sidecar.mark_id == 0x0A1B2C3D
    anchor = tmp_path / "state" / "hp-trt" / "local-anchor.pem"
    assert look(ours, anchor).credentials.state == "trusted"
    assert report.to_json()["mark"] == {"id": "0a1b2c3d", "score": 1.0}


def test_any_one_of_the_three_is_enough_to_know_it_by(ours, tmp_path, monkeypatch):
    sidecar(ours).unlink()
    assert look(ours).verdict == "intact"
    for asked in ({"credentials": False, "sidecar": False}, {"mark": False, "sidecar": False}):
        out = tmp_path / "one.mp4"
        write_clip(out, seal_for(out, patch=monkeypatch, **asked))
        assert look(out).verdict == "intact" and look(out).broken == ()
    write_clip(out, seal_for(out, mark=False, credentials=False))
    assert look(out).verdict == "intact"


def test_with_its_sidecar_every_changed_byte_is_found_twice(ours):
    data = bytearray(ours.read_bytes())
    for number in (9, 40, 60, 1000, len(data) // 2, len(data) - 30, len(data) - 1):
        data[number] ^= 1
        ours.write_bytes(data)
        report = look(ours)
        assert report.verdict == "broken" and any(
            "out.mp4.json is of a file with other bytes" in b for b in report.broken
        )
        data[number] ^= 1
    ours.write_bytes(data)
    assert look(ours).verdict == "intact"


def test_a_change_without_a_sidecar_is_the_credentials_to_find(ours):
    sidecar(ours).unlink()
    data = bytearray(ours.read_bytes())
    data[data.index(b"mdat") + 100] ^= 1
    ours.write_bytes(data)
    report = look(ours)
    assert report.verdict == "broken" and report.broken == (
        "the credentials are invalid: signingCredential.untrusted, assertion.bmffHash.mismatch",
    )


def test_a_byte_that_the_library_leaves_open_is_told_without_a_sidecar_too(ours):
    sidecar(ours).unlink()
    data = bytearray(ours.read_bytes())
    data[8] ^= 1  # the brand
    ours.write_bytes(data)
    assert look(ours).broken == (
        "the credentials are invalid: changed after it was signed, the boxes that C2PA's hash leaves out (ftyp, free, "
        "mfra, skip) are not those that were signed",
    )


def test_a_copy_encoded_again_is_known_by_its_mark_alone(ours, tmp_path):
    import av

    made = tmp_path / "again.mkv"
    with av.open(str(ours)) as read, av.open(str(made), "w") as written:
        stream = written.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in read.decode(video=0):
            frame.pict_type = 0
            written.mux(stream.encode(frame))
        written.mux(stream.encode(None))
    report = look(made)
    assert report.verdict == "intact" and report.credentials is None and report.sidecar is None


def test_parts_of_two_runs_do_not_fit_together(ours, tmp_path, monkeypatch):
    other = tmp_path / "other.mp4"
    write_clip(other, seal_for(other, patch=monkeypatch, mark_id=0x11111111, credentials=False))
    (tmp_path / "state" / "hp-trt" / "local-signer.pem").unlink()
    again = seal_for(ours, mark_id=0x22222222, sidecar=False)
    monkeypatch.setattr(again, "_mark", BlockMark(0x11111111))
    write_clip(ours, again)
    sidecar(ours).unlink()
    report = look(ours)
    assert report.broken == ("ids of different runs: 22222222 in the credentials, 11111111 in the pictures",)
    shutil.copy(sidecar(other), sidecar(ours))
    assert any("is of a file with other bytes" in line for line in look(ours).broken)


def test_nothing_is_found_in_files_that_are_not_ours(tmp_path):
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 50, 3), np.uint8)).save(tmp_path / "cat.jpg")
    for path in (tmp_path / "cat.jpg", make_clip(tmp_path / "film.mp4", 3), make_clip(tmp_path / "film.mkv", 3)):
        report = look(path)
        assert (report.verdict, report.broken, report.sidecar) == ("nothing", (), None)


def test_anothers_json_beside_a_file_is_no_sidecar_and_breaks_nothing(tmp_path):
    film = make_clip(tmp_path / "film.mp4", 3)
    sidecar(film).write_text('{"subtitles": []}')
    assert look(film).verdict == "nothing"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"format": "hp-trt provenance", "schema": 1}', "is missing"),
        (b'{"format": "hp-trt provenance", "schema": 99}', "it is of schema 99, this program reads 1"),
        (b'{"format": "hp-trt provenance", "schema"', "out.mp4.json cannot be used"),
        (b"", "out.mp4.json cannot be used"),
        (b"[" * 10**5, "nested too deeply"),
        (b" " * (17 << 20), "at most 1048576 are read"),
    ],
    ids=["fields missing", "newer", "cut off", "empty", "deep", "huge"],
)
def test_a_hostile_sidecar_is_broken_and_nothing_worse(ours, content, says):
    sidecar(ours).write_bytes(content)
    report = look(ours)
    assert report.verdict == "broken" and says in report.broken[0]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink(path, path)])
def test_a_sidecar_that_is_no_file_is_not_waited_for(ours, make):
    sidecar(ours).unlink()
    make(sidecar(ours))
    report = look(ours)
    assert report.verdict == "broken" and report.broken[0].startswith("out.mp4.json cannot be used: ")


def test_what_is_no_video_and_no_picture_is_refused(tmp_path):
    def written(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    os.mkfifo(tmp_path / "pipe")
    cases = {
        tmp_path / "missing.mp4": "no such file",
        tmp_path: "is not a file",
        tmp_path / "pipe": "is not a file",
        written("empty.mp4", b""): "empty.mp4 is empty; give a video or a picture",
        written("text.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n"): "is a list of other files",
        written("zeros.png", bytes(3000)): "give an mp4, mov, mkv or webm",
        make_sound(tmp_path / "sound.mp4"): "has only audio",
    }
    for path, says in cases.items():
        with pytest.raises(InputError, match=re.escape(says)):
            look(path)


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_a_file_of_ours_that_was_cut_off_is_broken(ours, kept):
    data = ours.read_bytes()
    ours.write_bytes(data[: round(len(data) * kept)])
    assert look(ours).verdict == "broken"
    sidecar(ours).unlink()
    assert look(ours).verdict == "broken"


def test_without_the_library_the_rest_is_looked_at_and_what_was_not_is_said(ours, monkeypatch, pair):
    monkeypatch.setattr(credentials, "is_installed", lambda: False)
    report = look(ours)
    assert report.verdict == "intact" and report.credentials is None
    assert report.not_looked == "c2pa-python is not installed; pip install '.[provenance]' in a checkout of hp-trt"
    with pytest.raises(InputError, match="an anchor is for credentials, and c2pa-python is not installed"):
        look(ours, pair.anchor)


def test_an_anchor_that_cannot_be_read_is_told_before_anything_is_said(ours, tmp_path):
    with pytest.raises(InputError, match="the anchor cannot be read"):
        look(ours, tmp_path / "missing.pem")


def test_no_more_than_ten_seconds_of_a_long_film_are_looked_at(tmp_path):
    seen = []

    class Counting:
        def find(self, frames):
            seen.extend(1 for _ in frames)
            return BlockFinder().find([])

    verify_file(make_clip(tmp_path / "long.mp4", 300, size=(16, 16)), finder=Counting())
    assert len(seen) == 250


def test_a_finder_that_fails_on_strange_pictures_is_told_not_raised(ours):
    class Failing:
        def find(self, frames):
            raise ZeroDivisionError("no tiles")

    report = verify_file(ours, finder=Failing())
    assert report.mark is None and "cannot be searched for a mark (no tiles)" in report.unreadable
    assert report.verdict == "intact"


def test_the_real_finder_is_what_looks_where_none_is_given(ours, monkeypatch):
    monkeypatch.setattr("hp_trt.provenance.verify.InvisibleMarkFinder", BlockFinder)
    assert verify_file(ours).mark.payload == 0x0A1B2C3D and mark.InvisibleMark is BlockMark
