from __future__ import annotations

import numpy as np
import pytest

from hp_trt.measure.metrics.seams import frame_differences, joints, seam_ratio
from runtime.hunyuanportrait.sampling import Sampling


def test_the_joints_of_a_layout_written_out_by_hand():
    # 6 frames and 2 of padding on each side: 10. Windows of 5, 1 shared, slid by 2 a step; the second of two
    # steps starts at -2, 2, 6: frames 8 9 0 1 2, 2 3 4 5 6, 6 7 8 9 0.
    # Held by: 0 {a c}, 1 {a}, 2 {a b}, 3-5 {b}, 6 {b c}, 7 {c}, 8 9 {a c}.
    # Joints of the padded clip before 1, 2, 3, 6, 7, 8; of the clip, 2 less, those in 1 .. 5: before 1, 4, 5.
    assert joints(6, Sampling(steps=2, window=5, overlap=1, shift=2, pad_frames=2)) == [1, 4, 5]


@pytest.mark.parametrize("steps", [1, 8, 25])
def test_joints_are_where_a_window_of_the_last_step_begins_or_ends(steps):
    slid = (steps - 1) * 3 % 25
    edges = {(start + end - slid) % 150 for start in range(0, 150, 22) for end in (0, 25)}
    assert joints(120, Sampling(steps=steps)) == [k for k in range(1, 120) if (k + 15) % 150 in edges]


def test_only_executed_steps_slide():
    assert joints(60, Sampling(steps=10, strength=0.5)) == joints(60, Sampling(steps=5))
    assert joints(60, Sampling(steps=1)) == joints(60, Sampling(steps=7, shift=0))


def moving(levels) -> np.ndarray:
    return np.repeat(np.cumsum(levels).astype(np.uint8), 12).reshape(-1, 2, 2, 3)


def test_a_jump_at_a_joint_is_its_ratio_and_the_truths_own_motion_does_not_count():
    even, jumps = [0, 2, 2, 2, 2, 2, 2], [0, 2, 2, 6, 2, 2, 2]
    assert frame_differences(moving(jumps)).tolist() == jumps[1:]
    assert seam_ratio(moving(jumps), moving(even), [3]) == 3
    assert seam_ratio(moving(jumps), moving(jumps), [3]) == 1
    assert seam_ratio(moving(even), moving(even), [3, 5]) == 1
    assert seam_ratio(moving(jumps), moving(even), [2]) == 1, "a jump elsewhere is no seam"


@pytest.mark.parametrize("at", [[], [1, 2, 3]])
def test_without_joints_or_without_anything_between_them_there_is_no_ratio(at):
    assert seam_ratio(moving([0, 1, 1, 1]), moving([0, 1, 1, 1]), at) is None


def test_a_truth_that_stands_still_gives_no_ratio():
    assert seam_ratio(moving([0, 1, 1, 1]), moving([0, 0, 0, 0]), [1]) is None


def test_what_moves_in_bursts_has_no_seam_by_its_mean_where_its_median_would_see_one():
    """A mouth that says something every third frame, before a truth that moves evenly; joints wherever they are."""
    bursts, even = [0, *[1, 1, 7] * 12], [0, *[3] * 36]
    at = range(5, 36, 5)
    assert seam_ratio(moving(bursts), moving(even), at) > 2
    assert seam_ratio(moving(bursts), moving(even), at, bursts=True) == pytest.approx(1, abs=0.2)
    jumps = [level + 6 * (k in at) for k, level in enumerate(bursts)]
    assert seam_ratio(moving(jumps), moving(even), at, bursts=True) > 2, "a jump at every joint is one all the same"
