"""How sure a mean of grades is, if other people had graded other clips.

Both raters and items are a draw from many, and every grade shares its rater with some others and its item with some
others. So both are drawn anew, with replacement, each on its own: a grade counts as often as its rater was drawn times
its item was (the pigeonhole bootstrap). A t-interval over all grades would take them for independent, and be far too
narrow (docs/study.md has numbers); over raters' means it would say nothing of other clips.

Source: A. B. Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1(2), 2007.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DRAWS = 10_000
_AT_ONCE = 500
_TAILS = (2.5, 97.5)  # percent


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean and its interval of 95 %, which is None where two raters or two items are lacking."""

    value: float
    low: float | None
    high: float | None
    answers: int


def means(grades: np.ndarray, *, seed: int = 0, draws: int = DRAWS) -> tuple[list[Mean | None], np.ndarray]:
    """Of (raters, items, contenders) float, NaN where there is no grade: a mean of each contender, None without grades;
    and (draws, contenders) float64 of the means that were drawn, NaN where a draw has no grade of one.

    The same draws for all contenders: the difference of two columns is that of the same raters and items.
    """
    known = ~np.isnan(grades)
    drawn = _drawn(np.where(known, grades, 0.0), known.astype(float), seed=seed, draws=draws)
    enough = min(np.count_nonzero(known.any(axis=(1, 2))), np.count_nonzero(known.any(axis=(0, 2)))) >= 2
    found: list[Mean | None] = []
    for contender in range(grades.shape[2]):
        own = grades[:, :, contender][known[:, :, contender]]
        if not own.size:
            found.append(None)
            continue
        low, high = interval(drawn[:, contender]) if enough else (None, None)
        found.append(Mean(value=float(own.mean()), low=low, high=high, answers=own.size))
    return found, drawn


def interval(drawn: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    """The middle 95 % of (draws,), without NaN; nothing where there is nothing."""
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return None, None
    low, high = np.percentile(drawn, _TAILS)
    return float(low), float(high)


def _drawn(sums: np.ndarray, counts: np.ndarray, *, seed: int, draws: int) -> np.ndarray:
    raters, items, contenders = sums.shape
    random = np.random.default_rng(seed)
    found = np.full((draws, contenders), np.nan)
    for start in range(0, draws, _AT_ONCE):
        size = min(_AT_ONCE, draws - start)
        of_raters = random.multinomial(raters, np.full(raters, 1 / raters), size=size).astype(float)
        of_items = random.multinomial(items, np.full(items, 1 / items), size=size).astype(float)
        total, number = (
            np.einsum("bi,bic->bc", of_items, (of_raters @ part.reshape(raters, -1)).reshape(size, items, contenders))
            for part in (sums, counts)
        )
        np.divide(total, number, out=found[start : start + size], where=number > 0)
    return found
