from __future__ import annotations

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.measure.metrics.steadiness import colour_drift, ends, error_drift, flicker, jitter


def flat(levels) -> np.ndarray:
    return np.repeat(np.asarray(levels, np.uint8), 8 * 8 * 3).reshape(-1, 8, 8, 3)


def test_a_steady_ramp_does_not_flicker_and_a_blink_does():
    assert jitter(flat(range(0, 50, 5))) == 0
    assert jitter(flat([10, 20, 10, 20, 10])) == 20


def test_the_truths_own_jitter_is_taken_off():
    truth = flat([10, 20, 10, 20, 10])
    assert flicker(truth, truth) == 0
    assert flicker(flat([10] * 5), truth) == -20
    assert flicker(flat([10, 30, 10, 30, 10]), truth) == 20


def test_two_frames_have_no_second_difference():
    with pytest.raises(ValueError, match="3 frames, got 2"):
        jitter(flat([1, 2]))


def test_drift_is_the_change_that_the_truth_does_not_make():
    n = 100
    truth = np.full((n, 4, 4, 3), 100, np.uint8)
    assert colour_drift(truth, truth) == 0
    redder = truth.copy()
    redder[..., 0] += np.linspace(0, 51, n).astype(np.uint8)[:, None, None]
    first, last = redder[:10, 0, 0, 0].mean(), redder[-10:, 0, 0, 0].mean()
    assert colour_drift(redder, truth) == pytest.approx((last - first) / 255 * 100)
    assert colour_drift(redder, redder) == 0, "a truth that gets redder may"


def test_a_short_clip_compares_its_first_frame_with_its_last():
    assert colour_drift(flat([0, 9, 51]), flat([0, 0, 0])) == pytest.approx(20)


def test_an_error_that_grows_is_told_in_levels_and_one_that_stays_is_none():
    truth = flat([100] * 20)
    grows = flat([103] * 2 + [110] * 16 + [97, 109])
    assert error_drift(grows, truth) == pytest.approx(((3**2 + 9**2) / 2) ** 0.5 - 3)
    assert error_drift(grows[::-1], truth) == pytest.approx(3 - ((3**2 + 9**2) / 2) ** 0.5)
    assert error_drift(flat([110] * 20), truth) == error_drift(truth, truth) == 0


@pytest.mark.parametrize(("frames", "count"), [(500, 50), (50, 5), (14, 1), (3, 1)])
def test_an_end_is_a_tenth_of_the_clip(frames, count):
    first, last = (np.arange(frames)[part].tolist() for part in ends(frames))
    assert first == [*range(count)] and last == [*range(frames - count, frames)]


def test_clips_of_another_length_are_refused():
    with pytest.raises(InputError, match="has 3 frames"):
        flicker(flat([1, 2, 3]), flat([1, 2]))
