"""A render that a video drives, left in the middle and gone on with: the same file, or a refusal that says why."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from hp_trt.hunyuanportrait import clip as driven
from hp_trt.sample import write_sample
from tests.hp_trt.command_line import at_every_frame
from tests.hp_trt.resume.rendering import decoded

ROOT = Path(__file__).parents[3]


@pytest.fixture
def render(hp_trt, small_bundle, sample, tmp_path, monkeypatch):
    """Animates the sample's twelve frames into o.mp4; chunks end behind frames 9 and 12."""
    monkeypatch.setattr(driven, "_KEPT_FRAMES", 3)

    def run(*words, out=tmp_path / "o.mp4", driving=sample[1], portrait=sample[0], seed=1):
        options = ("--steps=2", "--threads=1", f"--seed={seed}")
        paths = (f"--bundle={small_bundle}", f"--portrait={portrait}", f"--driving={driving}", f"--out={out}")
        return hp_trt("animate", *paths, *options, *words)

    run.out, run.store = tmp_path / "o.mp4", tmp_path / "o.mp4.resume"
    return run


def leave(render, monkeypatch, *, after: int):
    """Ctrl-C when so many frames are made."""
    made: list[int] = []

    def interrupt():
        if len(made) == after:
            raise KeyboardInterrupt
        made.append(0)

    with monkeypatch.context() as patch:
        at_every_frame(patch, driven.DrivenClip, interrupt)
        return render("--resume")


def test_what_is_left_is_gone_on_with_to_the_same_pictures_times_and_sound(render, monkeypatch, tmp_path):
    whole = tmp_path / "whole.mp4"
    assert render("--resume", out=whole).code == 0
    assert not whole.with_name("whole.mp4.resume").exists()
    ended = leave(render, monkeypatch, after=10)
    assert ended.code == 130 and f"9 frames are kept in {render.store}/: go on with --resume" in ended.err
    assert not render.out.exists()
    made: list[int] = []
    at_every_frame(monkeypatch, driven.DrivenClip, lambda: made.append(0))
    assert render("--resume").code == 0
    assert len(made) == 3
    assert render.out.read_bytes() == whole.read_bytes() and not render.store.exists()


def test_a_kept_render_has_the_times_and_the_sound_of_one_in_one_piece(render, tmp_path):
    assert render("--resume").code == 0
    assert render(out=tmp_path / "plain.mp4").code == 0
    kept, plain = (decoded(path) for path in (render.out, tmp_path / "plain.mp4"))
    assert [time_s for time_s, _ in kept["pictures"]] == [time_s for time_s, _ in plain["pictures"]]
    assert kept["sound"] == plain["sound"] != []


def test_a_run_of_something_else_is_refused_and_kept(render, monkeypatch, tmp_path, sample):
    leave(render, monkeypatch, after=10)
    other_video, other_portrait = tmp_path / "d.mp4", tmp_path / "p"
    other_video.write_bytes(sample[1].read_bytes() + b"\0")
    other_portrait.mkdir()
    other, _ = write_sample(other_portrait, seed=9, frames=2)
    before = {path.name: path.read_bytes() for path in render.store.iterdir() if path.name[0] != "."}
    for given, says in (
        ({"seed": 2}, "sampling.seed was 1, is 2"),
        ({"driving": other_video}, "the driving video differs"),
        ({"portrait": other}, "the portrait differs"),
    ):
        ended = render("--resume", **given)
        assert ended.code == 2 and says in ended.err, ended.err
    ended = render()
    assert ended.code == 2 and "go on with --resume, begin anew with --restart" in ended.err
    ended = render("--resume", "--profile=live")
    assert ended.code == 2
    assert {path.name: path.read_bytes() for path in render.store.iterdir() if path.name[0] != "."} == before


def test_a_damaged_state_costs_its_chunk_and_nothing_else(render, monkeypatch, tmp_path):
    whole = tmp_path / "whole.mp4"
    assert render("--resume", out=whole).code == 0
    leave(render, monkeypatch, after=10)
    state = render.store / "000000.state"
    state.write_bytes(state.read_bytes()[:-1] + b"\x55")
    ended = render("--resume")
    assert ended.code == 0 and "1 of its 1 chunks are made again" in ended.err
    assert render.out.read_bytes() == whole.read_bytes()


def test_where_nothing_is_kept_a_run_begins_at_its_first_frame(render):
    ended = render("--resume")
    assert ended.code == 0 and "holds no finished chunk: the run begins at its first frame" in ended.err


def test_two_runs_of_one_render_at_once_are_one(render, monkeypatch):
    seen = []

    def render_as_well():
        if not seen:
            seen.append(None)
            seen[0] = render("--resume")  # the other one, in the middle of this one

    at_every_frame(monkeypatch, driven.DrivenClip, render_as_well)
    ended = render("--resume")
    assert ended.code == 0
    assert seen[0].code == 2 and "is being written by process" in seen[0].err


def test_a_disk_that_is_full_in_the_middle_leaves_what_is_done(render, monkeypatch):
    from hp_trt.resume.chunk_writer import ChunkWriter

    count = SimpleNamespace(left=10)

    def write(self, image, plain=ChunkWriter.write):
        count.left -= 1
        if count.left < 0:
            raise OSError(28, "No space left on device")
        plain(self, image)

    with monkeypatch.context() as patch:
        patch.setattr(ChunkWriter, "write", write)
        ended = render("--resume")
    assert ended.code == 2 and "keeps what is done (1 chunk" in ended.err, ended.err
    assert not render.out.exists()
    assert render("--resume").code == 0


def test_a_process_that_is_killed_loses_no_finished_chunk(small_bundle, tmp_path):
    portrait, driving = write_sample(tmp_path, frames=40)
    command = [sys.executable, "-m", "hp_trt", "animate", f"--bundle={small_bundle}", f"--portrait={portrait}"]
    command += [
        f"--driving={driving}",
        "--steps=1",
        "--threads=1",
        "--resume",
        "--mark-id=0a1b2c3d",
        "--no-credentials",
    ]
    subprocess.run([*command, f"--out={tmp_path / 'whole.mp4'}"], cwd=ROOT, check=True, capture_output=True)
    store, out = tmp_path / "o.mp4.resume", tmp_path / "o.mp4"
    killed = subprocess.Popen(
        [*command, f"--out={out}"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while killed.poll() is None and not (store / "000000.json").exists():
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert (store / "000000.json").exists() and not out.exists()
    again = subprocess.run([*command, f"--out={out}"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert "made again" not in again.stderr
    assert out.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
