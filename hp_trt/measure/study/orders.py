"""In which order a rater sees the results.

A rater sees each item once a round, in as many rounds as there are contenders, so that two results of one item are
never next to each other. Which contender an item shows in which round is a row of a Williams square: over its rows
every contender stands in every round equally often, and follows every other one equally often. Items take different
rows, so that no round is one contender's. Within a round items are shuffled, for each rater anew.

Source: E. J. Williams, Experimental designs balanced for the estimation of residual effects of treatments, 1949.
"""

from __future__ import annotations

import random
from collections.abc import Sequence


def williams(count: int) -> list[list[int]]:
    """Rows of 0 .. count-1: `count` of them where it is even, twice as many where it is odd."""
    first = [0]
    for step in range(1, count):
        first.append((first[-1] + (step if step % 2 else -step)) % count)
    rows = [[(value + shift) % count for value in first] for shift in range(count)]
    return rows if count % 2 == 0 else rows + [row[::-1] for row in rows]


def rows(contenders: int) -> int:
    """How many raters see every contender in every round equally often."""
    return len(williams(contenders))


def order(*, rater: int, row: int, items: int, contenders: int, seed: int) -> Sequence[tuple[int, int]]:
    """(item, contender) of every trial of one rater, by their numbers. `row`: of `rows`; `rater` and `seed` shuffle."""
    square = williams(contenders)
    shuffled = random.Random(f"{seed} {rater}")
    found: list[tuple[int, int]] = []
    for column in range(contenders):
        turn = list(range(items))
        shuffled.shuffle(turn)
        if found and items > 1 and turn[0] == found[-1][0]:  # the last round ended with it
            turn.append(turn.pop(0))
        found += [(item, square[(row + item) % len(square)][column]) for item in turn]
    return found
