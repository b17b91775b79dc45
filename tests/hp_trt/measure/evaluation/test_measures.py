"""Which of several clips is the worst."""

from __future__ import annotations

import pytest

from hp_trt.measure.evaluation.measures import Measure


@pytest.mark.parametrize(
    ("better", "worst"),
    [("higher", -3.0), ("lower", 2.0), ("near 0", -3.0)],  # what falls by 3 where it should be low is good
)
def test_the_worst_clip_is_the_farthest_from_what_is_better(better, worst):
    assert Measure(key="k", title="t", better=better).worst([-3.0, 1.0, 2.0]) == worst
