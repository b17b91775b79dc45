"""Every example does what it says, on a small bundle and drawn people."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image

from hp_trt.sample import write_sample
from tests.hp_trt.apps.service.process import Process
from tests.manual.reader import activated

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
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
    command = [sys.executable, EXAMPLES / name, *words]
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


@pytest.fixture
def shell(tmp_path):
    """Types `sh examples/NAME WORDS` in an activated environment."""
    env = activated(tmp_path / ".bin")

    def shell(name: str, *words: Path | str) -> subprocess.CompletedProcess[str]:
        command = ["sh", str(EXAMPLES / name), *map(str, words)]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)

    return shell


def test_the_command_line_draws_animates_and_verifies(shell, tmp_path):
    ran = shell("command.sh", tmp_path / "out", "--profile", "live")
    assert ran.returncode == 0, ran.stderr
    assert frames_of(tmp_path / "out" / "out.mp4") == 8 and (tmp_path / "out" / "out.png").is_file()
    assert "mark: " in ran.stdout and "sidecar: hp-trt" in ran.stdout


def test_what_would_be_exported_is_said_first(shell, tmp_path):
    words = (tmp_path / "bundle", "me.png", "talk.mp4", "out.mp4", "--preset", "pocket", "--dry-run")
    ran = shell("own_bundle.sh", *words)
    assert ran.returncode == 0, ran.stderr
    assert "denoiser" in ran.stdout and not (tmp_path / "bundle").exists()


@pytest.mark.heavy
def test_a_bundle_of_ones_own_is_exported_looked_at_and_used(shell, sample, tmp_path):
    portrait, driving, _ = sample
    ran = shell("own_bundle.sh", tmp_path / "bundle", portrait, driving, tmp_path / "out.mp4")
    assert ran.returncode == 0, ran.stderr
    assert frames_of(tmp_path / "out.mp4") == FRAMES


def test_the_bench_writes_its_table_its_json_and_its_picture(shell, live_bundle, tmp_path):
    words = (live_bundle, tmp_path / "bench", "--frames", "4", "--steps", "1", "--runs", "1", "--warmup", "0")
    ran = shell("bench.sh", *words)
    assert ran.returncode == 0, ran.stderr
    assert "frames/s" in ran.stdout
    assert json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert Image.open(tmp_path / "bench" / "timeline.png").size[0] > 100


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Process]:
    state = tmp_path_factory.mktemp("service") / "state"
    words = ["-m", "hp_trt", "serve", "--bundle", "shipped:pocket", "--no-page", "--port", "0", "--state", str(state)]
    with Process(state, command=words) as running:
        yield running


def test_a_client_of_the_service_hears_of_its_clip_and_takes_it(service, sample, tmp_path):
    portrait, driving, _ = sample
    ran = example("service_client.py", service.address, portrait, driving, tmp_path / "out.mp4")
    assert ran.returncode == 0, ran.stderr
    assert f"write: {FRAMES} of " in ran.stderr and frames_of(tmp_path / "out.mp4") == FRAMES


def test_a_client_of_the_service_says_what_was_refused(service, sample, tmp_path):
    driving = sample[1]
    ran = example("service_client.py", service.address, driving, driving, tmp_path / "out.mp4")
    assert (ran.returncode, ran.stdout) == (1, "") and "is not a picture" in ran.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_pictures_go_into_a_live_session_and_animated_ones_come_back(service, sample, tmp_path):
    portrait, driving, _ = sample
    ran = example("live_client.py", service.address, portrait, driving, tmp_path / "out", "--frames", "8")
    assert (ran.returncode, ran.stdout) == (0, "8 frames\n"), ran.stderr
    made = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in made] == [f"{number:05}.jpg" for number in range(8)]
    assert Image.open(made[0]).size == Image.open(portrait).size


def test_a_live_session_without_a_face_says_so(service, sample, tmp_path):
    Image.new("RGB", (200, 200)).save(tmp_path / "black.png")
    ran = example("live_client.py", service.address, tmp_path / "black.png", sample[1], tmp_path / "out")
    assert ran.returncode == 1 and "no face in the portrait" in ran.stderr


def test_every_example_is_listed_and_run():
    names = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".sh")}
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert names == set(re.findall(r"\]\((\w+\.(?:py|sh))\)", listed))
    assert names <= set(re.findall(r'"(\w+\.(?:py|sh))"', Path(__file__).read_text(encoding="utf-8")))
