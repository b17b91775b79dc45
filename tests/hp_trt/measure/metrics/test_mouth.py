"""A track that is known to be so many frames late."""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.measure.metrics.mouth import MOST_LAG, best_lag

SOUND = np.convolve(np.random.default_rng(3).standard_normal(160), np.hanning(9), "same")


@pytest.mark.parametrize("lag", [-MOST_LAG, -7, -1, 0, 1, 4, MOST_LAG])
@pytest.mark.parametrize("gain", [1.0, 0.2])
def test_a_shifted_track_is_as_late_as_it_was_shifted_whatever_its_size(lag, gain):
    truth = SOUND[MOST_LAG : MOST_LAG + 100]
    track = SOUND[MOST_LAG - lag : MOST_LAG - lag + 100]
    noise = np.random.default_rng(4).standard_normal(100) * 0.1
    assert best_lag(gain * (track + noise) + 3, truth) == lag


def test_a_lag_beyond_what_is_asked_for_is_not_given():
    assert abs(best_lag(SOUND[:100], SOUND[20:120], most=5)) <= 5


def test_equal_lags_are_none():
    """A track of period 4 fits at every fourth frame."""
    track = np.tile([0.0, 1.0, 0.0, -1.0], 20)
    assert best_lag(track, track) == 0


def test_half_of_a_short_clip_is_always_compared():
    for frames in range(4, 12):
        track = SOUND[30 : 30 + frames]
        assert abs(best_lag(track, track[::-1].copy())) <= frames // 2


@pytest.mark.parametrize(("track", "truth"), [(np.ones(50), SOUND[:50]), (SOUND[:50], np.zeros(50))])
def test_what_stands_still_is_neither_early_nor_late(track, truth):
    assert best_lag(track, truth) is None
