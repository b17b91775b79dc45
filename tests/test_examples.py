"""Every example does what it says, on a small bundle and drawn people."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
from PIL import Image

from hp_trt.sample import write_sample

ROOT = Path(__file__).parents[1]
FRAMES = 9
pytestmark = pytest.mark.slow  # for the bundle they need: a build takes a minute


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> tuple[Path, Path, Path]:
    """A portrait and two driving videos. Read only."""
    folder = tmp_path_factory.mktemp("sample")
    portrait, driving = write_sample(folder, frames=FRAMES)
    return portrait, driving, folder / "driving-2.mp4"


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> tuple[str, str]:
    """A profile of one step, for what does not depend on how many there are."""
    file = tmp_path_factory.mktemp("profile") / "quick.toml"
    file.write_text('[quick]\nbase = "exact"\nsteps = 1\n')
    return "--profile", str(file)


def example(name: str, *words: Path | str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "examples" / name, *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([str(word) for word in command], env=env, capture_output=True, text=True)


def frames_of(video: Path) -> int:
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def pictures_of(video: Path) -> list[bytes]:
    with av.open(str(video)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


def test_a_batch_shows_progress_and_a_wrong_video_does_not_end_it(live_bundle, sample, quick, tmp_path):
    portrait, first, second = sample
    wrong = tmp_path / "wrong.mp4"
    wrong.write_text("no video")
    ran = example("batch.py", live_bundle, portrait, tmp_path / "out", first, wrong, second, *quick)
    assert ran.returncode == 1
    assert ran.stdout.splitlines() == [f"{tmp_path / 'out' / v.name}: {FRAMES} frames" for v in (first, second)]
    assert f"  write: {FRAMES} of " in ran.stderr and f"{wrong}: " in ran.stderr
    assert [frames_of(tmp_path / "out" / video.name) for video in (first, second)] == [FRAMES, FRAMES]


def test_a_batch_that_is_cancelled_keeps_what_is_complete_and_nothing_else(live_bundle, sample, quick, tmp_path):
    portrait, first, second = sample
    ran = example("batch.py", live_bundle, portrait, tmp_path, first, second, "--cancel-after", str(FRAMES + 2), *quick)
    assert ran.returncode == 130 and f"{second}: cancelled" in ran.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [first.name, f"{first.name}.json"]
    assert frames_of(tmp_path / first.name) == FRAMES


def test_live_frames_are_drawn_into_an_applications_own_picture(live_bundle, sample, tmp_path):
    portrait, driving, _ = sample
    background = Image.new("RGB", (100, 80), (10, 20, 30))
    background.save(tmp_path / "background.png")
    profile = tmp_path / "short.toml"
    profile.write_text('[short]\nbase = "live"\nwindow = 3\n')  # the bundle's own: its graphs take no longer ones
    words = (live_bundle, portrait, driving, tmp_path / "background.png", tmp_path / "out", "--profile", profile)
    ran = example("live_canvas.py", *words)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{FRAMES} frames, 0 dropped\n", "")
    made = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in made] == [f"{number:05}.png" for number in range(FRAMES)]
    side = 16  # of the bundle's faces
    for path in made:
        canvas = Image.open(path)
        assert canvas.size == background.size
        assert canvas.crop((0, 0, 100 - side, 80)).getcolors() == [((100 - side) * 80, (10, 20, 30))]
        assert len(canvas.crop((100 - side, 80 - side, 100, 80)).getcolors()) > 1


def test_a_camera_that_breaks_off_is_no_end_as_any_other(live_bundle, sample, tmp_path):
    Image.new("RGB", (100, 80)).save(tmp_path / "background.png")
    wrong = tmp_path / "wrong.mp4"
    wrong.write_text("no video")
    profile = tmp_path / "short.toml"
    profile.write_text('[short]\nbase = "live"\nwindow = 3\n')
    words = (live_bundle, sample[0], wrong, tmp_path / "background.png", tmp_path / "out", "--profile", profile)
    ran = example("live_canvas.py", *words)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "Invalid data found when processing input" in ran.stderr and str(wrong) in ran.stderr


def test_two_processes_share_the_clips(live_bundle, sample, quick, tmp_path):
    portrait, first, second = sample
    third = shutil.copy(first, tmp_path / "third.mp4")
    ran = example("two_processes.py", live_bundle, portrait, tmp_path / "out", first, second, third, *quick)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) == 3 and all(f": {FRAMES} frames by process " in line for line in lines)
    # The same clip has the same bits, whoever made it, with one id for all; signatures differ.
    one, other = (tmp_path / "out" / name for name in ("third.mp4", first.name))
    assert pictures_of(one) == pictures_of(other)
