"""Files of a run, from the writers that users' files come from."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engines.errors import InputError, OutputError
from engines.file_record import hash_file
from hp_trt.media.seal import sealed_output
from hp_trt.media.video_writer import VideoWriter
from hp_trt.provenance import credentials, mark, run_seal
from hp_trt.provenance.credentials import read_credentials
from hp_trt.provenance.options import NOTHING, Provenance
from hp_trt.provenance.run_seal import check_beside, prepare
from hp_trt.provenance.sidecar import read_sidecar
from hp_trt.resume.store import facts_there
from hp_trt.streams.file_sink import FileSink
from hp_trt.streams.sink import Shape
from tests.hp_trt.clips import contents, picture
from tests.hp_trt.provenance.sealing import SIZE, BlockFinder, BlockMark, seal_for, write_clip
from tests.hp_trt.resume.rendering import FACTS, decoded, render


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "state")


def test_a_clip_is_marked_signed_and_has_a_sidecar_of_its_own_hash(tmp_path, monkeypatch):
    out = tmp_path / "out.mp4"
    seal = seal_for(out, patch=monkeypatch, mark_id=0x0A1B2C3D, consent="yes")
    write_clip(out, seal)
    assert names(tmp_path) == ["out.mp4", "out.mp4.json"]
    assert BlockFinder().find(pictures(out)).payload == 0x0A1B2C3D
    found, beside = read_credentials(out), read_sidecar(tmp_path / "out.mp4.json")
    assert (found.state, found.mark_ids) == ("valid", (0x0A1B2C3D,))
    assert beside.result == hash_file(out) and beside.mark_id == 0x0A1B2C3D and beside.consent == "yes"
    assert beside.signer == "hp-trt local, unverified" and beside.left_out == {}
    assert len(contents(out).times_s) == 6


def test_without_any_of_it_the_file_is_byte_for_byte_what_it_was(tmp_path):
    assert prepare(NOTHING, {"the result": tmp_path / "out.mp4"}, {}) is None
    plain = write_clip(tmp_path / "plain.mp4", None)
    alone = seal_for(tmp_path / "alone.mp4", mark=False, credentials=False)
    assert write_clip(tmp_path / "alone.mp4", alone).read_bytes() == plain.read_bytes()
    assert read_sidecar(tmp_path / "alone.mp4.json").left_out == {
        "mark": "not asked for",
        "credentials": "not asked for",
    }


def test_the_pictures_that_are_handed_in_stay_as_they_are(tmp_path, monkeypatch):
    seal = seal_for(tmp_path / "out.mp4", patch=monkeypatch, label=True)
    image = picture(3, *SIZE)
    before = image.copy()
    made = seal.marked(image)
    assert (image == before).all() and (made != before).any()


def test_the_label_comes_under_the_mark_so_that_the_mark_is_whole(tmp_path, monkeypatch):
    seal = seal_for(tmp_path / "out.mp4", patch=monkeypatch, label=True, mark_id=5)
    made = seal.marked(np.full((*SIZE[::-1], 3), 128, np.uint8))
    assert BlockFinder().find([made]).payload == 5 and (made[-3:, -3:] != 128).any()


def test_two_runs_have_two_ids_and_one_of_ones_own_makes_the_same_pictures(tmp_path, monkeypatch):
    ids = {seal_for(tmp_path / "x.mp4").mark_id for _ in range(8)}
    assert len(ids) == 8
    one, two = (
        write_clip(tmp_path / f"{n}.mp4", seal_for(tmp_path / f"{n}.mp4", patch=monkeypatch, mark_id=9)) for n in "ab"
    )
    assert all((a == b).all() for a, b in zip(pictures(one), pictures(two), strict=True))


def test_an_mkv_has_mark_and_sidecar_alone_and_both_say_so(tmp_path, monkeypatch):
    out = tmp_path / "out.mkv"
    seal = seal_for(out, patch=monkeypatch, mark_id=7)
    write_clip(out, seal)
    why = "mkv files cannot have them (mov, mp4, png can)"
    assert seal.notes_of([out, None]) == [f"out.mkv: no Content Credentials, {why}"]
    assert read_sidecar(tmp_path / "out.mkv.json").left_out == {"credentials": why}
    assert BlockFinder().find(pictures(out)).payload == 7
    assert not (tmp_path / "state").exists(), "a key that nobody needs"


def test_without_the_library_there_is_mark_and_sidecar_and_a_note_says_how_to_get_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(credentials, "is_installed", lambda: False)
    out = tmp_path / "out.mp4"
    seal = seal_for(out, patch=monkeypatch)
    write_clip(out, seal)
    (note,) = seal.notes_of([out, tmp_path / "crop.mp4"])
    assert note == (
        "no Content Credentials, c2pa-python is not installed; pip install '.[provenance]' in a checkout of hp-trt "
        "adds them"
    )
    assert "c2pa-python is not installed" in read_sidecar(tmp_path / "out.mp4.json").left_out["credentials"]
    with pytest.raises(InputError, match="signing needs c2pa-python, which is not installed; pip install"):
        seal_for(out, sign_chain="c.pem", sign_key="k.pem")


def test_what_a_user_left_out_by_name_is_no_news_to_them(tmp_path):
    assert seal_for(tmp_path / "out.mp4", credentials=False).notes_of([tmp_path / "out.mp4"]) == []


def test_a_stream_is_marked_alone_and_says_so(tmp_path):
    seal = prepare(Provenance(mark_id=1), {"the result": None}, {}).seal(None)
    assert seal.note_of_stream("standard output") == (
        "standard output has the invisible mark of id 00000001, and neither Content Credentials nor a sidecar: those "
        "are for files"
    )


# What fails leaves no file, and what was there.


BAD_LUCK = OutputError("it could not be signed (bad luck); sign with another key")
FULL = OSError(28, "No space left on device")


def failing(error: Exception):
    def sign_file(source, target, claim, signer):
        target.write_bytes(b"half a file")
        raise error

    return sign_file


@pytest.mark.parametrize(
    ("error", "says"),
    [(BAD_LUCK, r"out.mp4 was not written: it could not be"), (FULL, r"out.mp4 could not be written: No space left")],
)
def test_a_failure_to_sign_leaves_no_file_and_the_one_before(tmp_path, monkeypatch, error, says):
    out = tmp_path / "out.mp4"
    seal = seal_for(out)
    monkeypatch.setattr(credentials, "sign_file", failing(error))
    with pytest.raises(OutputError, match=says):
        write_clip(out, seal)
    assert names(tmp_path) == []
    out.write_bytes(b"before")
    with pytest.raises(OutputError, match=says):
        write_clip(out, seal)
    assert names(tmp_path) == ["out.mp4"] and out.read_bytes() == b"before"


def test_a_sidecar_that_cannot_be_written_leaves_no_file(tmp_path, monkeypatch):
    out = tmp_path / "out.mp4"
    seal = seal_for(out)

    def fails(*_given, **_named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_seal, "hash_file", fails)
    with pytest.raises(OutputError, match=r"out.mp4 could not be written: No space left on device"):
        write_clip(out, seal)
    assert names(tmp_path) == []


@pytest.mark.parametrize("finished", [False, True])
def test_an_error_before_the_end_leaves_neither_file_nor_sidecar(tmp_path, finished):
    out = tmp_path / "out.mp4"

    def write() -> None:
        with VideoWriter(out, width=64, height=48, seal=seal_for(out)) as video:
            video.write(picture(0))
            if finished:
                video.finish()  # signed, under hidden names
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert names(tmp_path) == []


def test_a_picture_is_sealed_as_a_clip_is(tmp_path):
    from PIL import Image

    out = tmp_path / "sheet.png"
    with sealed_output(out, seal_for(out)) as part:
        Image.new("RGB", (9, 7), (1, 2, 3)).save(part, format="PNG")
    assert read_credentials(out).state == "valid" and read_sidecar(tmp_path / "sheet.png.json").name == "sheet.png"
    with pytest.raises(ZeroDivisionError), sealed_output(out, seal_for(out)):
        raise ZeroDivisionError
    assert names(tmp_path) == ["sheet.png", "sheet.png.json"]


# Places.


def test_a_sidecars_place_is_looked_at_before_the_work(tmp_path):
    out, mine = tmp_path / "out.mp4", tmp_path / "out.mp4.json"
    mine.write_text('{"faces": []}')
    with pytest.raises(OutputError, match=r"out.mp4.json is there and is no sidecar of ours.*or leave the sidecar out"):
        prepare(None, {"the result": out}, {})
    with pytest.raises(InputError, match=r"out.mp4.json is the faces' file itself; give the sidecar of the result"):
        check_beside({"the result": out}, {"the faces' file": mine})
    with pytest.raises(InputError, match="would be one file; give one of them another name"):
        check_beside({"the result": out, "the report": mine}, {})
    assert mine.read_text() == '{"faces": []}'
    assert prepare(Provenance(sidecar=False), {"the result": out}, {}) is not None


def test_a_sidecar_of_ours_is_replaced_as_its_file_is(tmp_path):
    out = tmp_path / "out.mp4"
    for consent in ("first", "second"):
        write_clip(out, seal_for(out, consent=consent))
    assert read_sidecar(tmp_path / "out.mp4.json").consent == "second"
    assert read_sidecar(tmp_path / "out.mp4.json").result == hash_file(out)


def test_no_note_and_no_name_in_it_says_where_the_user_keeps_files(tmp_path):
    out = tmp_path / "out.mp4"
    seal = seal_for(out)
    seal.told = lambda: (f"the sound of {tmp_path}/talk.mp4 is missing",)
    write_clip(out, seal)
    text = (tmp_path / "out.mp4.json").read_text()
    assert "the sound of talk.mp4 is missing" in json.loads(text)["notes"] and str(tmp_path) not in text


# A recording.


def record(sink: FileSink, frames: int = 6) -> None:
    sink.open(Shape(width=SIZE[0], height=SIZE[1], rate=Fraction(25)))
    for number in range(frames):
        sink.write(picture(number, *SIZE), Fraction(number, 25))
    sink.close()


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_a_live_recording_is_sealed_when_it_is_complete(tmp_path, monkeypatch, ending):
    out = tmp_path / f"live{ending}"
    sink = FileSink(out)
    sink.seal = seal_for(out, patch=monkeypatch, mark_id=77)
    record(sink)
    assert names(tmp_path) == [f"live{ending}", f"live{ending}.json"]
    assert BlockFinder().find(pictures(out)).payload == 77 and len(pictures(out)) == 6
    found = read_credentials(out)
    assert found is None if ending == ".mkv" else found.state == "valid"
    assert read_sidecar(tmp_path / f"live{ending}.json").result == hash_file(out)


def test_a_recording_that_cannot_be_signed_is_kept_where_the_message_says(tmp_path, monkeypatch):
    out = tmp_path / "live.mp4"
    sink = FileSink(out)
    sink.seal = seal_for(out)
    monkeypatch.setattr(credentials, "sign_file", failing(BAD_LUCK))
    with pytest.raises(OutputError, match=r"live.mp4 was not written: .*The recording is ") as told:
        record(sink)
    (kept,) = tmp_path.glob(".live.mp4.*.part")
    assert names(tmp_path) == [kept.name] and str(kept) in str(told.value) and len(pictures(kept)) == 6


# A run that is gone on with.


def run_of(folder: Path, mode: str, until: int | None = None, **asked) -> int:
    """Render chunks of a resumable run, sealed as `render_resumable` seals it; its mark's id."""
    out, crop = folder / "talk.mp4", folder / "crop.mkv"
    seal = seal_for(out, crop, **asked)
    if mode == "resume":
        seal.go_on(facts_there(folder / "talk.mp4.resume"))
    render(folder, until=until, facts={**FACTS, **seal.facts}, mode=mode, seal=seal)
    return seal.mark_id


def test_a_run_that_is_gone_on_with_keeps_its_id_and_has_the_pictures_of_an_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setattr(mark, "InvisibleMark", BlockMark)
    whole, left = tmp_path / "whole", tmp_path / "left"
    whole.mkdir()
    left.mkdir()
    first = run_of(left, "resume", until=2)
    assert run_of(left, "resume") == first
    assert run_of(whole, "new", mark_id=first) == first
    for name in ("talk.mp4", "crop.mkv"):
        assert decoded(left / name) == decoded(whole / name)
        assert read_sidecar(left / f"{name}.json").mark_id == first
    assert read_credentials(left / "talk.mp4").mark_ids == (first,)
    assert names(left) == ["crop.mkv", "crop.mkv.json", "talk.mp4", "talk.mp4.json"]


@pytest.mark.parametrize(
    ("first", "then"), [({}, {"mark": False}), ({"mark": False}, {}), ({"mark_id": 4}, {"mark_id": 5})]
)
def test_a_run_is_not_gone_on_with_under_another_mark(tmp_path, monkeypatch, first, then):
    monkeypatch.setattr(mark, "InvisibleMark", BlockMark)
    run_of(tmp_path, "resume", until=1, **first)
    with pytest.raises(InputError, match="holds a run of something else: the mark"):
        run_of(tmp_path, "resume", **then)


def test_a_long_run_that_cannot_be_signed_keeps_its_chunks_and_is_signed_the_next_time(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(credentials, "sign_file", failing(BAD_LUCK))
        with pytest.raises(OutputError, match=r"talk.mp4 was not written"):
            run_of(tmp_path, "resume")
    assert names(tmp_path) == ["talk.mp4.resume"]
    run_of(tmp_path, "resume")
    assert read_credentials(tmp_path / "talk.mp4").state == "valid"
    assert "talk.mp4.resume" not in os.listdir(tmp_path)
