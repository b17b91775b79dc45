"""Sizes that follow from others."""

from __future__ import annotations

import pytest

from engines.sizes import names_in, size_of
from tests.fakes import spec


@pytest.mark.parametrize(
    ("dim", "size"),
    [
        ("height", 17),
        ("2*height", 34),
        ("height/8", 3),  # rounded up
        ("2*height/8*width/8 + 7", 2 * 3 * 4 + 7),
        ("height + width + 1", 44),
        ("12", 12),
    ],
)
def test_a_size_is_a_sum_of_products_of_names_and_numbers(dim, size):
    assert size_of(dim, {"height": 17, "width": 26}) == size


def test_the_names_that_a_size_is_made_of_are_known():
    assert names_in("2*height/8*width/8 + 2*height/16 + 7") == {"height", "width"}
    assert names_in("frames") == {"frames"} and names_in("3") == set()


@pytest.mark.parametrize("dim", ["", "2*", "height-1", "a+b", "2**8", "(height)", "height/0", "8/height", "a b", "-1"])
def test_what_is_no_size_is_refused_in_a_sentence(dim):
    with pytest.raises(ValueError, match="is no size; needed is a name, or a sum of products such as"):
        names_in(dim)


def test_a_promise_gives_outputs_whose_sizes_follow_from_its_inputs():
    promise = spec("enlarger", {"picture": (3, "height", "width")}, {"enlarged": (3, "2*height", "2*width")})
    assert promise.output("enlarged").shape_at({"height": 5, "width": 7}) == (3, 10, 14)
    assert type(promise).from_json(promise.to_json()) == promise
