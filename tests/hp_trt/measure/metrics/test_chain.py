"""Chains whose drift and seams are known."""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.measure.metrics.chain import colour_drift_at, correlation_at, looked_at, seam_at

SIZE = 4


def grey(levels):
    return [np.full((6, 6, 3), level, np.uint8) for level in levels]


def test_only_clips_that_are_whole_are_looked_at():
    assert looked_at(400, 8) == (1, 10, 50)
    assert looked_at(399, 8) == (1, 10)
    assert looked_at(79, 8) == ()


def test_colours_that_creep_up_have_drifted_by_as_much():
    truth = grey([100] * 40)
    clip = grey([100 + frame // SIZE for frame in range(40)])
    assert colour_drift_at(10, clip, truth, size=SIZE) == pytest.approx(9 / 255 * 100)
    assert colour_drift_at(1, clip, truth, size=SIZE) == 0
    assert colour_drift_at(10, clip, clip, size=SIZE) == 0, "what the truth does is no drift"


def test_a_mouth_that_stops_following_is_seen_where_it_stops():
    truth = np.sin(np.arange(80.0))
    track = np.where(np.arange(80) < 40, truth, np.cos(np.arange(80.0)))
    assert correlation_at(10, track, truth, size=SIZE, least_std=0.1) == pytest.approx(1)
    assert abs(correlation_at(20, track, truth, size=SIZE, least_std=0.1)) < 0.1
    assert correlation_at(1, track, truth, size=SIZE, least_std=0.1) == pytest.approx(1)
    assert correlation_at(10, track, np.zeros(80), size=SIZE, least_std=0.1) is None


def test_a_jump_at_every_border_is_a_seam_and_the_same_jump_in_the_truth_is_none():
    steady = [2 * frame for frame in range(40)]
    jumping = grey([level + 6 * (frame // SIZE) for frame, level in enumerate(steady)])
    assert seam_at(10, jumping, grey(steady), size=SIZE) == pytest.approx(4)
    assert seam_at(10, jumping, jumping, size=SIZE) == 1
    assert seam_at(1, jumping, grey(steady), size=SIZE) is None
