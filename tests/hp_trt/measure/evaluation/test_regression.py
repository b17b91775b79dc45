"""A regression that has heard a few sentences."""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.measure.evaluation.regression import Regression, fitted
from hp_trt.measure.evaluation.spoken import said
from procedural.motion import State
from procedural.speech import mouth

FRAMES = 75


@pytest.fixture(scope="module")
def regression() -> Regression:
    return fitted(sentences=12)


def test_it_hears_the_jaw_of_voices_that_it_does_not_know(regression):
    found = []
    for seed in (2, 3, 4):
        speech = said(seed, FRAMES)
        states = regression.states(speech.samples[: 640 * FRAMES], State())
        jaw, true = [state.jaw for state in states], mouth(speech.phonemes, FRAMES)[:, 0]
        found.append(np.corrcoef(jaw, true)[0, 1])
    assert np.mean(found) > 0.75, "0.93 with all of its sentences"


def test_it_moves_the_mouth_alone_and_within_its_range(regression):
    first = State(yaw_deg=7.0, brow_left=0.4)
    states = regression.states(said(5, 25).samples[: 640 * 25] * 4, first)
    assert len(states) == 25
    for state in states:
        assert (state.yaw_deg, state.brow_left, state.lid_left) == (7.0, 0.4, 0.0)
        assert 0 <= state.jaw <= 1 and 0 <= state.rounding <= 1 and -1 <= state.corners <= 1 and 0 <= state.teeth <= 1
