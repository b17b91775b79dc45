"""Renders that are killed without a word, again and again: at most a chunk is lost, and the result is the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hp_trt.resume.resumable_video import store_of
from tests.hp_trt.resume.rendering import FRAMES, decoded, render
from tests.hp_trt.resume.test_joining import sound_with_click

ROOT = Path(__file__).parents[3]
CHUNKS = 6


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    render(folder, chunks=CHUNKS, sound=sound_with_click(folder / "talk.wav", codec="pcm_s16le", click_s=0.7))
    return folder


def same_as(whole: Path, folder: Path) -> bool:
    return all(decoded(whole / name) == decoded(folder / name) for name in ("talk.mp4", "crop.mkv"))


def test_a_render_that_is_killed_again_and_again_ends_as_one_that_is_not(tmp_path, whole):
    (tmp_path / "talk.wav").write_bytes((whole / "talk.wav").read_bytes())
    chance, safe, kills = random.Random(17), 0, 0
    command = [sys.executable, "-m", "tests.hp_trt.resume.rendering", str(tmp_path), str(CHUNKS)]
    for number in range(100):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        begun = int(process.stdout.readline())
        assert begun >= safe, "a chunk that was said to be safe is lost"
        try:
            out, _ = process.communicate(timeout=chance.uniform(0, 0.1 * number))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            out, _ = process.communicate()
            kills += process.returncode == -signal.SIGKILL
        safe = max(begun, *map(int, out.split()), 0)
        if process.returncode == 0 or not (store_of(tmp_path / "talk.mp4") / "facts.json").exists():
            break  # a kill may also meet the removal of the store, when the result has its name
    assert kills and safe == CHUNKS * FRAMES  # a fast machine is done after few
    assert same_as(whole, tmp_path)


KILLED_AT_EVERY_STEP = """
import os, sys
import av  # once, not in every child
from pathlib import Path
from tests.hp_trt.resume.rendering import render

folder, sound, chunks = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def forked(work):
    # Returns the child's status: 9 where it died in the middle, as by a kill: nothing of Python's runs any more.
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def dying_at(step):
    left = [step]
    def counted(call):
        def dies(*given, **named):
            if not left[0]:
                os._exit(9)
            left[0] -= 1
            return call(*given, **named)
        return dies
    for name in ("fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "open"):
        setattr(os, name, counted(getattr(os, name)))

for step in range(1000):
    where = folder / str(step)
    where.mkdir()
    seen = []
    def first():
        dying_at(step)
        render(where, chunks=chunks, sound=sound, tell=lambda video: print(step, video.frames, flush=True))
    ended = forked(first)
    assert ended in (0, 9), ended
    print(step, "again", flush=True)
    again = forked(lambda: render(where, chunks=chunks, sound=sound, mode="resume",
                                  tell=lambda video: print(step, video.frames, flush=True)))
    assert again == 0, (step, again)
    if not ended:
        break
"""


@pytest.mark.slow  # for its runs, one for each step
def test_a_kill_before_any_step_on_the_disk_loses_at_most_a_chunk(tmp_path, whole):
    ran = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EVERY_STEP, str(tmp_path), str(whole / "talk.wav"), "2"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    steps: dict[int, list[str]] = {}
    for line in ran.stdout.splitlines():
        step, said = line.split(maxsplit=1)
        steps.setdefault(int(step), []).append(said)
    assert len(steps) > 60
    for said in steps.values():
        at = said.index("again")
        before, after = said[:at], said[at + 1 :]
        done = int(before[-1]) if before else 0
        assert int(after[0]) in (done, done + FRAMES) or done == 2 * FRAMES  # then all of it is done already
    first = decoded(tmp_path / "0" / "talk.mp4")
    for step in steps:
        assert decoded(tmp_path / str(step) / "talk.mp4") == first
        assert sorted(os.listdir(tmp_path / str(step))) == ["crop.mkv", "talk.mp4"]
        assert not store_of(tmp_path / str(step) / "talk.mp4").exists()
