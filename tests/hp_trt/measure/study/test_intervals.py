from __future__ import annotations

import numpy as np
import pytest

from hp_trt.measure.study.intervals import interval, means


def drawn_by_hand(grades, seed, draws):
    """The same draws, each grade counted one by one."""
    raters, items, contenders = grades.shape
    random = np.random.default_rng(seed)
    of_raters = random.multinomial(raters, np.full(raters, 1 / raters), size=draws)
    of_items = random.multinomial(items, np.full(items, 1 / items), size=draws)
    found = np.full((draws, contenders), np.nan)
    for draw in range(draws):
        for contender in range(contenders):
            repeated = [
                grade
                for rater in range(raters)
                for item in range(items)
                if not np.isnan(grade := grades[rater, item, contender])
                for _ in range(of_raters[draw, rater] * of_items[draw, item])
            ]
            if repeated:
                found[draw, contender] = np.mean(repeated)
    return found


def test_draws_are_of_raters_and_of_items_and_gaps_count_for_nothing():
    random = np.random.default_rng(1)
    grades = random.integers(1, 6, (4, 3, 2)).astype(float)
    grades[random.random(grades.shape) < 0.5] = np.nan
    found, drawn = means(grades, seed=7, draws=40)
    assert np.allclose(drawn, drawn_by_hand(grades, 7, 40), equal_nan=True)
    for contender, mean in enumerate(found):
        assert mean.value == pytest.approx(np.nanmean(grades[:, :, contender]))
        assert mean.answers == np.count_nonzero(~np.isnan(grades[:, :, contender]))
        assert (mean.low, mean.high) == interval(drawn[:, contender]) and mean.low <= mean.value <= mean.high


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    """Raters and items each with a leaning of their own, of the size that grades have; the truth is 3."""
    random, held, independent = np.random.default_rng(0), 0, 0
    for study in range(200):
        grades = 3 + (
            random.normal(0, 0.5, (12, 1, 1)) + random.normal(0, 0.5, (1, 12, 1)) + random.normal(0, 0.7, (12, 12, 1))
        )
        (mean,), _ = means(grades, seed=study, draws=300)
        held += mean.low <= 3 <= mean.high
        independent += abs(mean.value - 3) <= 1.96 * grades.std(ddof=1) / np.sqrt(grades.size)
    assert 0.90 <= held / 200 <= 0.995, held
    assert independent / 200 < 0.75, "else raters and items need not be drawn at all"


def test_one_rater_or_one_item_has_no_interval_and_nobody_no_mean():
    for shape in ((1, 5, 2), (5, 1, 2)):
        found, _ = means(np.full(shape, 4.0))
        assert [(mean.value, mean.low, mean.high) for mean in found] == [(4.0, None, None)] * 2
    lonely = np.full((3, 3, 2), np.nan)
    lonely[:, :, 0] = 2
    found, drawn = means(lonely)
    assert found[1] is None and np.isnan(drawn[:, 1]).all() and interval(drawn[:, 1]) == (None, None)
