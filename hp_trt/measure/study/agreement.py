"""How far raters agree: Krippendorff's alpha, of grades whose order is known and whose distances are not.

1: all say the same of every unit. 0: as if grades were drawn from one hat. Below 0: they agree less than that.

Source: K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, section E.
"""

from __future__ import annotations

import numpy as np


def alpha(grades: np.ndarray) -> float | None:
    """Of (raters, units) float, NaN where a rater has not graded a unit. Units of one grade say nothing, and are left.

    None where nothing can be said: no unit has two grades, or all that have it have the same everywhere.
    """
    kept = grades[:, (~np.isnan(grades)).sum(axis=0) >= 2]
    values = np.unique(kept[~np.isnan(kept)])
    if len(values) < 2:
        return None
    counts = np.stack([(kept == value).sum(axis=0) for value in values])  # (values, units)
    pairs = counts.sum(axis=0) - 1.0
    # o_ck: ordered pairs of values within a unit, each unit worth as many as it has grades.
    observed = (counts / pairs) @ counts.T - np.diag((counts / pairs).sum(axis=1))
    totals = counts.sum(axis=1).astype(float)  # n_c
    below = np.cumsum(totals) - totals / 2  # of each value: those below it, and half of itself
    distances = np.square(below[:, None] - below[None, :])
    chance = np.outer(totals, totals) / (totals.sum() - 1)  # its diagonal meets distances of 0
    return float(1 - (observed * distances).sum() / (chance * distances).sum())
