"""Vectors whose distances are known."""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.measure.metrics.sync import mean_distance, sync_of

RNG = np.random.default_rng(5)
SOUNDS = RNG.standard_normal((130, 8))


@pytest.mark.parametrize("zeros_beyond", [False, True])
@pytest.mark.parametrize("lag", [-9, 0, 1, 12])
def test_pictures_that_are_late_by_some_windows_are_found_to_be(lag, zeros_beyond):
    found = sync_of(SOUNDS[15 - lag : 115 - lag], SOUNDS[15:115], zeros_beyond=zeros_beyond)
    assert found.lag == lag
    if not zeros_beyond:
        assert found.distance == pytest.approx(0, abs=1e-12)
        assert found.confidence == pytest.approx(4, abs=0.4), "two of 8 independent numbers are so far apart: 15 ** 0.5"


def test_the_formulas_are_the_published_ones_done_the_long_way():
    """Every window beside the sounds of 31 lags, zeros beyond the ends."""
    pictures, sounds = SOUNDS[:40], SOUNDS[60:100]
    padded = np.concatenate([np.zeros((15, 8)), sounds, np.zeros((15, 8))])
    table = [[np.sqrt(((pictures[t] - padded[t + s]) ** 2).sum()) for s in range(31)] for t in range(40)]
    means = np.mean(table, axis=0)
    found = sync_of(pictures, sounds, zeros_beyond=True)
    assert found.distance == pytest.approx(means.min())
    assert found.confidence == pytest.approx(np.median(means) - means.min())
    assert found.lag == 15 - int(means.argmin())


def test_windows_without_a_partner_are_left_out():
    pictures, sounds = np.zeros((4, 2)), np.array([[0.0, 0], [0, 3], [4, 3], [0, 1]])
    assert mean_distance(pictures, sounds, 0) == pytest.approx((0 + 3 + 5 + 1) / 4)
    assert mean_distance(pictures, sounds, 1) == pytest.approx((0 + 3 + 5) / 3)
    assert mean_distance(pictures, sounds, -2) == pytest.approx((5 + 1) / 2)
    assert mean_distance(pictures, sounds, 1, zeros_beyond=True) == pytest.approx((0 + 0 + 3 + 5) / 4)


def test_what_does_not_fit_better_anywhere_has_no_confidence():
    found = sync_of(np.ones((60, 3)), np.zeros((60, 3)))
    assert found.confidence == pytest.approx(0, abs=1e-9) and found.distance == pytest.approx(3**0.5)
