from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from hp_trt.measure.study.orders import order, rows, williams


@pytest.mark.parametrize("count", range(2, 9))
def test_every_contender_stands_everywhere_and_follows_every_other_equally_often(count):
    square = williams(count)
    assert len(square) == rows(count) == (count if count % 2 == 0 else 2 * count)
    assert all(sorted(row) == list(range(count)) for row in square)
    places = Counter((place, who) for row in square for place, who in enumerate(row))
    follows = Counter(pair for row in square for pair in pairwise(row))
    assert set(places.values()) == {len(square) // count} and len(places) == count * count
    assert set(follows.values()) == {len(square) // count} and len(follows) == count * (count - 1)


@pytest.mark.parametrize(("items", "contenders"), [(1, 2), (2, 2), (5, 3), (7, 4)])
def test_raters_see_all_once_an_item_once_a_round_and_contenders_balanced(items, contenders):
    square = rows(contenders)
    seen: Counter = Counter()
    for rater in range(1, square + 1):
        turns = order(rater=rater, row=rater - 1, items=items, contenders=contenders, seed=3)
        assert sorted(turns) == [(i, c) for i in range(items) for c in range(contenders)]
        for number in range(contenders):
            part = turns[number * items : (number + 1) * items]
            assert {item for item, _ in part} == set(range(items))
            seen.update((item, number, contender) for item, contender in part)
        if items > 1:
            assert all(one[0] != other[0] for one, other in pairwise(turns)), "one item twice in a row"
    assert set(seen.values()) == {square // contenders} and len(seen) == items * contenders**2


def test_an_order_is_the_raters_own_and_always_the_same():
    def turns(rater, seed=0):
        return order(rater=rater, row=0, items=9, contenders=2, seed=seed)

    assert turns(1) == turns(1) and turns(1) != turns(2) and turns(1) != turns(1, seed=1)
