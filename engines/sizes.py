"""Sizes of outputs that follow from the sizes of inputs: "2*height", or so many places as a detector looks at.

A sum of products, of whole numbers, names, and names divided by a number, which is rounded up: "2*height/8*width/8 + 7"
is 2 * ceil(height / 8) * ceil(width / 8) + 7. A name alone is the size of that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import prod

_FACTOR = re.compile(r"(?P<number>[1-9]\d{0,9})|(?P<name>[A-Za-z_]\w*)(/(?P<by>[1-9]\d{0,9}))?")


def names_in(dim: str) -> set[str]:
    """The names that a size is made of. ValueError for what is no size."""
    return {factor["name"] for term in _terms(dim) for factor in term if factor["name"]}


def size_of(dim: str, sizes: Mapping[str, int]) -> int:
    """The size that `dim` is where its names have these `sizes`."""
    if dim in sizes:
        return sizes[dim]
    return sum(prod(_value(factor, sizes) for factor in term) for term in _terms(dim))


def _value(factor: re.Match[str], sizes: Mapping[str, int]) -> int:
    if factor["number"]:
        return int(factor["number"])
    return -(-sizes[factor["name"]] // int(factor["by"] or 1))


def _terms(dim: str) -> Iterator[list[re.Match[str]]]:
    for term in dim.split(" + "):
        factors = []
        for text in term.split("*"):
            factor = _FACTOR.fullmatch(text)
            if factor is None:
                raise ValueError(
                    f"{dim!r} is no size; needed is a name, or a sum of products such as 2*height/8 + width"
                )
            factors.append(factor)
        yield factors
