"""Clips that are enlarged behind their making: both are kept, what lacks is made, and what fails says which it was."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.errors import InputError
from hp_trt import Enhancer, Runtime
from hp_trt.apps.batch.enlarging import Enlarging, check_room
from hp_trt.apps.batch.outcome import Outcome
from hp_trt.apps.scale import batch as scale
from hp_trt.apps.scale import ray_version
from hp_trt.apps.scale.batch_driver import Worker
from hp_trt.enhancer import enhancer, memory
from hp_trt.media.video import VideoReader
from hp_trt.resume import chunk_writer
from tests.hp_trt.apps.batch.folders import names, whole
from tests.hp_trt.command_line import refused
from tests.hp_trt.enhancer.stand_in import ALL, StandIn, make_bundle

CLIPS = ("pa-da.mp4", "pa-db.mp4", "pb-da.mp4", "pb-db.mp4")
LARGER = ("pa-da-x2.mp4", "pa-db-x2.mp4", "pb-da-x2.mp4", "pb-db-x2.mp4")
ONE = ("--portraits=p", "--drivings=d", "--pairs=one.csv")


@pytest.fixture
def larger(batch, place, monkeypatch):
    """`batch` with `--enhance`, by graphs that repeat pixels; of one pair where `one`."""
    monkeypatch.setattr(enhancer, "open_backend", lambda *_: StandIn())
    make_bundle(place / "E", ALL[:1], kind="published")
    make_bundle(place / "faces", kind="published")
    (place / "one.csv").write_text("portrait,driving\npa.png,da.mp4\n")

    def run(*words, one=False, by="E"):
        more = {"sources": ONE} if one else {}
        return batch(f"--enhance={by}", *words, **more)

    return run


def report(place: Path) -> dict:
    return json.loads((place / "out/report.json").read_text())


def test_each_clip_is_enlarged_beside_it_and_both_are_told(larger, place):
    ended = larger()
    assert ended.code == 0, ended.err
    assert ended.out == (
        "out: 4 clips made, 0 were done before, 0 failed; 4 enlarged, 0 were before, 0 failed at that; see "
        "out/report.md\n"
    )
    terms = "licence: that of whoever trained the weights"
    assert ended.err.count(terms) == ended.err.count(f"note: {terms}") == 1, "told once"
    assert ended.err.index(terms) < ended.err.index("pa-da.mp4"), "and before use"
    assert names(place / "out") == whole(*CLIPS) | {name for clip in LARGER for name in (clip, f"{clip}.json")}
    small, large = (VideoReader(place / "out" / name).info for name in (CLIPS[0], LARGER[0]))
    assert (large.width, large.height, large.frames) == (2 * small.width, 2 * small.height, 5)
    found = report(place)
    assert found["enlarged"] == {"made": 4, "there": 0, "failed": 0, "waiting": 0}
    assert found["enlarging"]["scale"] == 2 and found["enlarging"]["bundle"] == "E"
    assert [(row["out"], row["enhanced"], row["enhanced_state"]) for row in found["rows"]] == [
        (clip, name, "made") for clip, name in zip(CLIPS, LARGER, strict=True)
    ]
    page = (place / "out/report.md").read_text()
    assert "4 clips: 4 made now. Enlarged 2 times: 4 made now." in page
    assert "| clip | of | by | | frames | s | larger | |" in page and "| pb-db-x2.mp4 | made now |" in page


def test_what_is_there_stays_and_only_what_lacks_is_enlarged(larger, batch, place, monkeypatch):
    assert batch().code == 0
    monkeypatch.setattr(Runtime, "animate", lambda *_given, **_how: pytest.fail("the clips are there"))
    assert larger().out.startswith("out: 0 clips made, 4 were done before, 0 failed; 4 enlarged, 0 were before")
    with (place / "out" / LARGER[1]).open("ab") as file:
        file.write(b"\0")
    (place / "out" / f"{LARGER[2]}.json").unlink()
    (place / "out" / f"{LARGER[3]}.resume").mkdir()  # a kill may leave it behind a clip that is done
    before = (place / "out" / LARGER[0]).stat().st_mtime_ns
    ended = larger("--json")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert lines[-1]["enlarged"] == {"made": 2, "there": 2, "failed": 0, "waiting": 0} and lines[-1]["there"] == 4
    assert [line["done"] for line in lines if line.get("stage") == "clips"] == [1, 2, 3, 4]
    assert [row.get("enhanced_why") for row in report(place)["rows"]] == [
        None, "its file was changed", "it had no sidecar", None,
    ]  # fmt: skip
    assert (place / "out" / LARGER[0]).stat().st_mtime_ns == before
    assert not (place / "out" / f"{LARGER[3]}.resume").exists()


@pytest.mark.parametrize(
    ("words", "by", "why"),
    [
        (["--enhance-fidelity=1"], "faces", "sampling.fidelity was 0.5, is 1.0"),
        (["--enhance-face-upsample"], "faces", "sampling.face_upsample was False, is True"),
        ([], "E", "bundle.sha256 differs"),
        (["--seed=4"], "faces", "inputs.video differs"),
    ],
)
def test_another_option_or_another_clip_is_another_larger_one(larger, place, words, by, why):
    assert larger(one=True, by="faces").code == 0
    assert larger(*words, one=True, by=by).code == 0
    (row,) = report(place)["rows"]
    assert row["enhanced_state"] == "made"
    if "--seed=4" not in words:  # then the clip is made anew, and of an old one nobody asks
        assert row["state"] == "there" and row["enhanced_why"] == why


def test_another_scale_lies_beside_the_first(larger, place):
    assert larger(one=True).code == larger("--enhance-scale=4", one=True).code == 0
    assert {"pa-da.mp4", "pa-da-x2.mp4", "pa-da-x4.mp4"} < names(place / "out")


def test_a_clip_that_cannot_be_enlarged_is_kept_and_named_and_the_others_go_on(larger, place, monkeypatch):
    enhance = Enhancer.enhance

    def failing(self, video, out, **how):
        if video.name == CLIPS[1]:
            raise InputError("it would take too much")
        return enhance(self, video, out, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Enhancer, "enhance", failing)
        ended = larger()
    assert ended.code == 2 and "note: pa-db.mp4 failed: enlarging it: it would take too much" in ended.err
    assert "4 clips made, 0 were done before, 0 failed; 3 enlarged, 0 were before, 1 failed at that" in ended.out
    row = report(place)["rows"][1]
    assert (row["state"], row["enhanced_state"], row["error"]) == (
        "made",
        "failed",
        "enlarging it: it would take too much",
    )
    page = (place / "out/report.md").read_text()
    assert "| pa-db.mp4 | pa.png | db.mp4 | enlarging it: it would take too much |" in page.partition("## Clips")[0]
    assert (place / "out" / CLIPS[1]).is_file() and not (place / "out" / LARGER[1]).exists()
    assert "0 clips made, 4 were done before, 0 failed; 1 enlarged, 3 were before" in larger().out


def test_a_clip_that_could_not_be_made_is_not_enlarged(larger, place):
    (place / "d/da.mp4").write_bytes(b"no video")
    ended = larger()
    assert ended.code == 2 and "2 clips made, 0 were done before, 2 failed; 2 enlarged" in ended.out
    assert report(place)["enlarged"] == {"made": 2, "there": 0, "failed": 0, "waiting": 2}
    assert LARGER[0] not in names(place / "out")


def stopped_in_the_middle(larger, monkeypatch, error: BaseException):
    """What ends the first larger clip, at its third frame; chunks are of one window, windows of two frames."""
    write, written = chunk_writer.ChunkWriter.write, []

    def stop(self, image):
        written.append(image.shape[0])
        if written.count(max(written)) == 3 and len(set(written)) == 2:
            raise error
        write(self, image)

    with monkeypatch.context() as patch:
        patch.setattr(chunk_writer.ChunkWriter, "write", stop)
        return larger()


def test_ctrl_c_while_a_clip_is_enlarged_leaves_the_clip_and_the_next_run_enlarges(larger, place, monkeypatch):
    ended = stopped_in_the_middle(larger, monkeypatch, KeyboardInterrupt())
    assert ended.code == 130 and "note: 0 of 4 clips are done; the same command goes on with the others" in ended.err
    assert "--resume" not in ended.err
    left = names(place / "out")
    assert {CLIPS[0], f"{CLIPS[0]}.json", "report.json", "report.md"} <= left and LARGER[0] not in left
    first = report(place)["rows"][0]
    assert (first["state"], first["enhanced_state"]) == ("made", "waiting")
    assert larger().out.startswith("out: 3 clips made, 1 were done before, 0 failed; 4 enlarged")
    assert names(place / "out") == whole(*CLIPS) | {name for clip in LARGER for name in (clip, f"{clip}.json")}


def test_a_full_disk_while_a_clip_is_enlarged_ends_the_batch_without_a_half_file(larger, place, monkeypatch):
    ended = stopped_in_the_middle(larger, monkeypatch, OSError(28, "No space left on device"))
    assert ended.code == 2 and "no space left" in ended.error.lower(), ended.err
    assert LARGER[0] not in names(place / "out") and CLIPS[0] in names(place / "out")
    assert not [name for name in names(place / "out") if name.endswith(".part")]
    assert [row["enhanced_state"] for row in report(place)["rows"]] == ["waiting"] * 4
    assert larger().code == 0


def test_what_was_kept_of_another_enlargement_is_let_go(larger, place, monkeypatch):
    store = place / "out" / f"{LARGER[0]}.resume"
    store.mkdir(parents=True)
    (store / "facts.json").write_text('{"scale": 7}')
    assert larger(one=True).code == 0 and not store.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--enhance-scale=2"], "--enhance-scale: only with --enhance BUNDLE"),
        (["--enhance-face-upsample"], "--enhance-face-upsample: only with --enhance BUNDLE"),
        (["--enhance=E", "--enhance-scale=3"], "--enhance-scale is one of 2, 4, 8, got 3"),
        (["--enhance=faces", "--enhance-fidelity=2"], "--enhance-fidelity is a number from 0 to 1, got 2.0"),
        (["--enhance=E", "--enhance-fidelity=1"], "fidelity: only with a face restorer, E has none"),
        (["--enhance=b"], "is for the model hunyuanportrait, which animates; to enhance a video give"),
        (["--enhance=none"], "no bundle at none"),
        (["--enhance=s3://bucket/E"], "is an address; a batch reads and writes files"),
        (["--enhance=E", "--out=E"], "the enhancer's bundle"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(larger, batch, place, words, says):
    refused(batch(*words), says)
    assert not (place / "out").exists()


def test_an_enlarged_clip_with_the_name_of_another_is_refused(larger, place):
    (place / "one.csv").write_text("portrait,driving,out\npa.png,da.mp4,x.mp4\npa.png,db.mp4,X-X2.mp4\n")
    refused(larger(one=True), "x-x2.mp4 would be two files: x.mp4 enlarged, and the clip X-X2.mp4")


def test_memory_is_looked_at_before_the_first_clip(larger, place, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 100 << 20)
    ended = larger()
    refused(ended, "--enhance: a clip of p/pa.png would become 128 x 96, which takes about", "0.1 GiB are free")
    assert report(place)["waiting"] == 4 and CLIPS[0] not in names(place / "out")


def test_a_worker_of_ray_makes_a_clip_and_enlarges_it_or_enlarges_it_alone(larger, batch, place, monkeypatch):
    jobs = []

    def spread(job):
        jobs.append(pickle.loads(pickle.dumps(job)))  # as it crosses to the other process
        worker = Worker(jobs[-1])
        return (Outcome.from_json(json.loads(worker({"number": n})["said"])) for n in range(len(job.pairs)))

    monkeypatch.setattr(scale, "_spread", spread)
    monkeypatch.setattr(ray_version, "check_ray", lambda what: None)
    assert batch(sources=ONE).code == 0
    ended = larger("--ray")
    assert ended.out.startswith("out: 3 clips made, 1 were done before, 0 failed; 4 enlarged"), ended.err
    assert jobs[0].enlarging.bundle == place / "E" and jobs[0].there == {CLIPS[0]}
    assert names(place / "out") == whole(*CLIPS) | {name for clip in LARGER for name in (clip, f"{clip}.json")}
    assert larger().out.startswith("out: 0 clips made, 4 were done before, 0 failed; 0 enlarged, 4 were before")


def test_by_ray_what_no_machine_could_encode_is_told_before_and_memory_by_each_machine(larger, place, monkeypatch):
    monkeypatch.setattr(ray_version, "check_ray", lambda what: None)
    monkeypatch.setattr(scale, "_spread", lambda job: pytest.fail("it began"))
    monkeypatch.setattr(memory, "available_bytes", lambda: 1)
    assert "it began" in larger("--ray").err
    Image.new("RGB", (2, 9000)).save(place / "p/pa.png")
    refused(larger("--ray"), "a clip of p/pa.png would become 4 x 18000, and H.264 takes up to 16384 pixels a side")


def test_a_portraits_size_is_read_without_decoding_and_what_cannot_be_read_is_passed_over(place, monkeypatch):
    bundle = make_bundle(place / "E", ALL[:1])
    wanted = Enlarging(bundle=bundle.path, scale=8).chosen(bundle)
    Image.fromarray(np.zeros((3, 2051, 3), np.uint8)).save(place / "wide.png")
    (place / "none.png").write_bytes(b"no picture")
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match=r"wide.png would become 16416 x 32, and H.264 takes up to 16384"):
        check_room([place / "none.png", place / "wide.png"], bundle, wanted, available=1 << 60)
    check_room([place / "none.png", place / "gone.png"], bundle, wanted)
