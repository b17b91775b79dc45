"""Which of several clips is the worst."""

from __future__ import annotations

import pytest

from hp_trt.measure.evaluation.measures import Measure, chain_measures, measures


@pytest.mark.parametrize(
    ("better", "worst"),
    [("higher", -3.0), ("lower", 2.0), ("near 0", -3.0)],  # what falls by 3 where it should be low is good
)
def test_the_worst_clip_is_the_farthest_from_what_is_better(better, worst):
    assert Measure(key="k", title="t", better=better).worst([-3.0, 1.0, 2.0]) == worst


def test_every_row_has_a_name_of_its_own():
    for protocol in ("self", "cross", "talk"):
        rows = (*measures(protocol), *chain_measures((1, 10, 50)))
        assert len({row.key for row in rows}) == len({row.title for row in rows}) == len(rows)


def test_rows_of_a_chain_say_of_which_clips_they_are():
    titles = {row.key: row.title for row in chain_measures((1, 10, 50))}
    assert titles["jaw_at_1"] == "jaw follows, clip 1" and titles["jaw_at_50"] == "jaw follows, clips 41 to 50"
    assert titles["drift_at_50"] == "colour drift to clip 50" and titles["seam_at_10"] == "seam ratio, clips 1 to 10"
    assert "drift_at_1" not in titles and "seam_at_1" not in titles
