from __future__ import annotations

import numpy as np

from hp_trt.haar import HaarLocator
from hp_trt.images import load_image
from hp_trt.sample import DRIVER, Pose, draw_head, driving_poses, write_sample
from hp_trt.video import VideoReader
from tests.hp_trt.clips import contents


def test_the_sample_has_the_frames_the_rate_and_sound_of_its_length(tmp_path):
    portrait, driving = write_sample(tmp_path / "new" / "folder", frames=7, fps=30)
    found = contents(driving)
    assert (len(found.times_s), found.rate, found.sound_codec) == (7, 30, "aac")
    assert abs(found.sound_s - 7 / 30) < 0.06  # AAC comes in blocks of 23 ms, the first one primes the decoder
    assert load_image(portrait).shape == (640, 560, 3)


def test_the_same_seed_draws_the_same_frames(tmp_path):
    clips = [VideoReader(write_sample(tmp_path / name, seed=3, frames=3)[1]) for name in "ab"]
    assert all(np.array_equal(a, b) for a, b in zip(*clips, strict=True))
    assert list(driving_poses(30, seed=3)) != list(driving_poses(30, seed=4))


def test_the_head_turns_blinks_and_talks():
    poses = list(driving_poses(100))
    assert max(p.blink for p in poses) > 0.6
    assert max(p.mouth for p in poses) > 0.6
    assert max(p.yaw for p in poses) - min(p.yaw for p in poses) > 0.8


def test_haar_finds_the_head_in_its_most_extreme_poses():
    locator = HaarLocator()
    for yaw, nod, roll, blink, mouth in [(1, 1, 4, 1, 1), (-1, -1, -4, 1, 0), (1, -1, 4, 0, 1), (-1, 1, -4, 0, 0)]:
        pose = Pose(yaw=0.65 * yaw, nod=0.45 * nod, roll_deg=roll, blink=blink, mouth=mouth)
        assert len(locator.locate(draw_head(DRIVER, pose, width=384, height=384))) == 1, pose
