"""A folder of clips: what is done is passed over, what fails is listed, the rest goes on, and every end is clean."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from hp_trt import Runtime
from hp_trt.apps.batch import run as batches
from hp_trt.sample import write_sample
from tests.hp_trt.apps.batch.folders import SHORT, frames, make_folders, names, whole
from tests.hp_trt.apps.batch.quick_model import Quick
from tests.hp_trt.command_line import refused

ROOT = Path(__file__).parents[4]
CLIPS = ("pa-da.mp4", "pa-db.mp4", "pb-da.mp4", "pb-db.mp4")


def report(place: Path) -> dict:
    return json.loads((place / "out/report.json").read_text())


def states(place: Path) -> list[str]:
    return [row["state"] for row in report(place)["rows"]]


def test_every_pair_is_made_a_portrait_is_encoded_once_and_the_report_is_whole(batch, place, monkeypatch):
    encoded, opened = [], []
    portrait, init = Runtime.portrait, Runtime.__init__
    monkeypatch.setattr(
        Runtime, "portrait", lambda self, image, **how: (encoded.append(image), portrait(self, image, **how))[1]
    )
    monkeypatch.setattr(
        Runtime, "__init__", lambda self, *given, **how: (opened.append(0), init(self, *given, **how))[1]
    )
    ended = batch()
    assert ended.code == 0, ended.err
    assert ended.out == "out: 4 clips made, 0 were done before, 0 failed; see out/report.md\n"
    assert [path.name for path in encoded] == ["pa.png", "pb.png"] and opened == [0]
    assert names(place / "out") == whole(*CLIPS)
    assert [frames(place / "out" / clip) for clip in CLIPS] == [5] * 4
    assert states(place) == ["made"] * 4
    page = (place / "out/report.md").read_text()
    assert (
        "4 clips: 4 made now." in page
        and "](report.png)" in page
        and "| pb-db.mp4 | pb.png | db.mp4 | made now | 5 |" in page
        and "## Notes\n" in page
        and "\n- all: quick\n" in page
    )


def test_what_is_done_is_passed_over_and_only_what_is_not_is_made(batch, place):
    assert batch().code == 0
    before = {clip: (place / "out" / clip).stat().st_mtime_ns for clip in CLIPS}
    with (place / "out" / CLIPS[0]).open("ab") as file:
        file.write(b"\0")  # no longer the file of its sidecar
    (place / "out" / f"{CLIPS[1]}.json").unlink()
    (place / "p/pb.png").write_bytes((place / "p/pb.png").read_bytes() + b"\0\0")
    (place / "out" / f"{CLIPS[3]}.resume").mkdir()  # a kill may leave it behind a clip that is done
    ended = batch("--json")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    clips = [line for line in lines if line.get("stage") == "clips"]
    assert [line["done"] for line in clips] == [1, 2, 3, 4] and clips[-1]["total"] == 4
    assert lines[-1] | {"made": 4, "there": 0, "failed": 0, "waiting": 0, "clips": 4} == lines[-1]
    why = [row["why"] for row in report(place)["rows"]]
    assert why == ["its file was changed", "it had no sidecar", "inputs.portrait differs", "inputs.portrait differs"]
    assert all((place / "out" / clip).stat().st_mtime_ns > before[clip] for clip in CLIPS)
    (place / "out" / f"{CLIPS[3]}.resume").mkdir()
    assert batch().out.startswith("out: 0 clips made, 4 were done before")
    assert names(place / "out") == whole(*CLIPS)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--seed=4"], "sampling.seed was 3, is 4"),
        (["--label"], "label was False, is True"),
        (["--consent=yes"], "consent was null, is 'yes'"),
        (["--mark-id=00000001"], "mark was '0a1b2c3d', is '00000001'"),
        (["--profile=mine"], "profile was 'exact', is 'mine'"),
        (["--profile=mine.toml"], "inputs.profiles is new"),
    ],
)
def test_another_option_is_another_clip(batch, place, words, why):
    (place / "mine.toml").write_text("[own]\n")
    only = ("--portraits=p", "--drivings=d", "--pairs=one.csv")
    (place / "one.csv").write_text("portrait,driving\npa.png,da.mp4\n")
    assert batch(sources=only).code == 0
    assert batch(*words, sources=only).code == 0
    (row,) = report(place)["rows"]
    assert row["state"] == "made" and row["why"].startswith(why)


def test_a_note_is_told_with_the_first_clip_that_it_is_about(batch, place):
    told = [line.removeprefix("note: ") for line in batch().err.splitlines() if line.startswith("note: ")]
    (first,) = [line for line in told if line.endswith(": quick")]
    assert first.partition(": ")[0] in {row["out"] for row in report(place)["rows"]}
    assert "further clips that a note is about are listed in out/report.md alone" in told


def test_failures_are_listed_the_rest_goes_on_and_the_exit_code_says_so(batch, place):
    (place / "p/no|face.png").write_bytes(b"no picture")
    (place / "d/da.mp4").write_bytes(b"no video")
    ended = batch()
    assert ended.code == 2 and "error: " not in ended.err
    assert "note: pa-da.mp4 failed: d/da.mp4 " in ended.err
    assert ended.out == "out: 2 clips made, 0 were done before, 4 failed; see out/report.md\n"
    found = report(place)
    assert (found["made"], found["failed"]) == (2, 4)
    assert "is not a picture" in next(row for row in found["rows"] if row["driver"].endswith("db.mp4"))["error"]
    assert "| no\\|face-db.mp4 | no\\|face.png |" in (place / "out/report.md").read_text()
    assert names(place / "out") == whole("pa-db.mp4", "pb-db.mp4")


def test_a_table_says_who_by_what_and_its_options_are_those_of_the_clip(batch, place):
    (place / "pairs.csv").write_text("portrait,driving,out,seed\np/pa.png,d/da.mp4,x.mov,5\n")
    assert batch(sources=["--pairs=pairs.csv"]).code == 0
    assert json.loads((place / "out/x.mov.json").read_text())["seed"] == 5
    assert batch(sources=["--pairs=pairs.csv"]).out.startswith("out: 0 clips made, 1 were done before")


def interrupted(batch, monkeypatch, *, at_frame: int):
    """Ctrl-C when so many frames are made."""
    made: list[int] = []

    def interrupt():
        made.append(0)
        if len(made) == at_frame:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Quick, "on_frame", staticmethod(interrupt))
        return batch()


def test_ctrl_c_ends_cleanly_and_the_next_run_goes_on_in_the_middle_of_a_clip(batch, place, monkeypatch):
    ended = interrupted(batch, monkeypatch, at_frame=10)
    assert ended.code == 130 and "note: 1 of 4 clips are done; the same command goes on with the others" in ended.err
    assert "--resume" not in ended.err
    left = {CLIPS[0], f"{CLIPS[0]}.json", f"{CLIPS[1]}.resume", "report.json", "report.md"}
    assert names(place / "out") == left
    assert states(place) == ["made", "waiting", "waiting", "waiting"]
    made: list[int] = []
    monkeypatch.setattr(Quick, "on_frame", staticmethod(lambda: made.append(0)))
    assert batch().out.startswith("out: 3 clips made, 1 were done before")
    assert len(made) == 11, "four frames of the second clip were kept"
    assert names(place / "out") == whole(*CLIPS)


def test_what_was_kept_of_another_seed_is_let_go(batch, place, monkeypatch):
    interrupted(batch, monkeypatch, at_frame=4)
    assert f"{CLIPS[0]}.resume" in names(place / "out")
    assert batch("--seed=9").code == 0
    assert names(place / "out") == whole(*CLIPS)


def test_one_batch_at_a_time_fills_a_folder(batch, place):
    (place / "out").mkdir()
    with FileLock(place / "out/.hp-trt-batch.lock"):
        refused(batch(), "out is being filled by another batch; wait until it is done")


def test_a_full_disk_ends_the_batch_because_every_clip_would_meet_it(batch, place, monkeypatch):
    def full(*_given, **_how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Runtime, "animate", full)
    ended = batch()
    assert ended.code == 2 and ended.error.startswith("error: no space left")
    assert "0 of 4 clips are done" in ended.err


def test_our_own_mistake_is_listed_too_and_the_exit_code_is_ours(batch, place, monkeypatch):
    monkeypatch.setattr(Runtime, "animate", lambda *_given, **_how: 1 / 0)
    ended = batch()
    assert ended.code == 1 and "pa-da.mp4 failed: this is our mistake: ZeroDivisionError" in ended.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--portraits=p"], "--drivings DIR or --audio DIR is missing; give it, or say by --pairs"),
        (["--drivings=d"], "--portraits DIR is missing"),
        (["--portraits=p", "--drivings=d", "--audio=d"], "one of two, got --drivings and --audio"),
        (["--portraits=p", "--drivings=none"], "--drivings none is no folder"),
        (["--pairs=none.csv"], "--pairs none.csv: no such file"),
        (["--portraits=p", "--drivings=s3://bucket/d"], "is an address; a batch reads and writes files: mount it"),
        (["--portraits=p", "--drivings=d", "--no-sidecar"], "leave --no-sidecar out"),
        (["--portraits=p", "--audio=d"], "moved by a driving video, not by speech"),
        (["--portraits=p", "--drivings=d", "--guidance=2"], "guidance: no sampling option of"),
        (["--portraits=p", "--drivings=d", "--mood=happy"], "mood: no sampling option"),
        (["--portraits=p", "--drivings=d", "--profile=fast"], "there is no profile 'fast'"),
        (["--portraits=p", "--drivings=d", "--workers=2"], "--ray-address and --workers are of --ray"),
        (["--portraits=p", "--drivings=d", "--ray", "--device=1"], "leave --device out"),
        (["--portraits=p", "--drivings=d", "--ray", "--family=auto"], "--ray may have several; name the family"),
        (["--portraits=out", "--drivings=d"], "the folder of portraits"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_before_any_work(batch, place, monkeypatch, words, says):
    if "--portraits=out" in words:
        (place / "out").mkdir()
    monkeypatch.setattr(batches, "_make_folder", lambda out: None)
    refused(batch(sources=words), says)


def kill_at_random(words: list[str], seed: int, *, most_s: float) -> None:
    """Begin it, and kill -9 its process at a moment of chance after its first line."""
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(random.Random(seed).uniform(0, most_s))
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_killed_at_three_moments_and_started_again_every_pair_is_there_once(tmp_path, small_bundle):
    make_folders(tmp_path, write_sample(tmp_path / "sample", frames=3))
    folders = (f"--portraits={tmp_path / 'p'}", f"--drivings={tmp_path / 'd'}", f"--out={tmp_path / 'out'}")
    words = [sys.executable, "-m", "hp_trt", "batch", f"--bundle={small_bundle}", *folders, *SHORT, "--json"]
    for seed in range(3):
        kill_at_random(words, seed, most_s=2)
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert names(tmp_path / "out") == whole(*CLIPS)
    assert [frames(tmp_path / "out" / clip) for clip in CLIPS] == [3] * 4
    found = report(tmp_path)
    assert found["clips"] == found["made"] + found["there"] == len(found["rows"]) == 4
