"""Motion frames: which pixels are dropped, and what the next clip goes on from."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.hallo2.motion_frames import drop, first_motion, next_motion
from tests.golden_cases import HALLO2_FOLDER, HALLO2_SHIPPED, check, discover, golden_cases, load_case


def test_there_is_a_golden_drop():
    assert discover(targets=["motion_drop"], folder=HALLO2_SHIPPED)


@golden_cases(targets=["motion_drop"], folder=HALLO2_FOLDER)
def test_the_drop_matches_its_golden_case(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    inputs = case.inputs
    motion = drop(inputs["motion"], inputs["face_region"], inputs["field"], case.options["rate"])
    assert motion.dtype == np.float32
    check(case, {"motion": motion}, 0)


def test_a_rate_of_one_drops_everything_but_the_face_and_zero_next_to_nothing():
    motion, region = np.ones((2, 3, 4, 4), np.float32), np.zeros((3, 4, 4), np.float32)
    region[:, 1:3, 1:3] = 1 / 255
    field = np.linspace(0, 0.99, 16, dtype=np.float32).reshape(4, 4)
    np.testing.assert_array_equal(drop(motion, region, field, 1.0), np.broadcast_to(region > 0, motion.shape))
    assert drop(motion, region, field, 0.0).sum() == motion.size - 2 * 3  # a field of exactly 0 is not above 0


@pytest.mark.parametrize(("m", "frames"), [(1, 4), (2, 4), (3, 3), (3, 2), (4, 1)])
def test_the_next_clip_goes_on_from_the_last_frames_seen(m, frames):
    rng = np.random.default_rng(0)
    motion = rng.uniform(-1, 1, (m, 3, 2, 2)).astype(np.float32)
    decoded = rng.uniform(-1.3, 1.3, (frames, 3, 2, 2)).astype(np.float32)
    seen = [*motion, *np.clip(decoded.astype(np.float64), -1, 1)]
    following = next_motion(motion, decoded[-m:])
    assert following.dtype == np.float32
    np.testing.assert_allclose(following, np.stack(seen[-m:]), atol=1e-6)  # float32 of the sum with 1


def test_the_first_clip_goes_on_from_the_portrait():
    picture = np.random.default_rng(0).uniform(-1, 1, (1, 3, 2, 2)).astype(np.float32)
    np.testing.assert_array_equal(first_motion(picture, 3), np.concatenate([picture] * 3))
