"""Against the published example, and a second implementation by the definition alone: pairs of grades."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from hp_trt.measure.study.agreement import alpha

NO = np.nan
# Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, example C: four observers, twelve units.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NO, NO, NO],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NO, 3],
        [NO, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NO],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NO],
    ]
)


def by_pairs(grades):
    """1 - D_o / D_e, with D_o the mean over pairs within units and D_e over all pairs."""
    units = [column[~np.isnan(column)] for column in grades.T]
    units = [unit for unit in units if len(unit) > 1]
    everything = np.concatenate(units)

    def distance(c, k):
        low, high = min(c, k), max(c, k)
        between = sum(np.count_nonzero(everything == value) for value in range(1, 6) if low <= value <= high)
        ends = np.count_nonzero(everything == low) + np.count_nonzero(everything == high)
        return (between - ends / 2) ** 2

    count = len(everything)
    within = sum(distance(c, k) / (len(unit) - 1) for unit in units for c, k in permutations(unit, 2)) / count
    chance = sum(distance(c, k) for c, k in permutations(everything, 2)) / (count * (count - 1))
    return 1 - within / chance


def test_the_published_example_comes_out():
    assert alpha(PUBLISHED) == pytest.approx(0.815, abs=5e-4)
    assert by_pairs(PUBLISHED) == pytest.approx(0.815, abs=5e-4), "else the second implementation is wrong"


@pytest.mark.parametrize("seed", range(6))
def test_random_grades_with_gaps_agree_with_the_definition(seed):
    random = np.random.default_rng(seed)
    grades = random.integers(1, 6, (4, 9)).astype(float)
    grades[random.random(grades.shape) < 0.3] = NO
    assert alpha(grades) == pytest.approx(by_pairs(grades), rel=1e-12)


def test_perfect_agreement_is_one_and_nothing_to_compare_is_nothing():
    assert alpha(np.tile([1.0, 3, 5, 4], (3, 1))) == pytest.approx(1)
    assert alpha(np.array([[1.0, 2, NO], [5, 4, 3]])) < 0
    for nothing in ([[1.0, 2, 3]], [[4.0, 4], [4, 4]], [[1.0, NO], [NO, 2]], [[NO, NO], [NO, NO]]):
        assert alpha(np.array(nothing)) is None
