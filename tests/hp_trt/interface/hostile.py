"""Values that an application may hand in by mistake, for whatever parameter."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np


class Strange:
    """Has nothing that anybody needs."""


PICTURES = {
    "floats": np.zeros((16, 16, 3)),
    "grey": np.zeros((16, 16), np.uint8),
    "rgba": np.zeros((16, 16, 4), np.uint8),
    "no pixels": np.zeros((0, 16, 3), np.uint8),
    "no columns": np.zeros((16, 0, 3), np.uint8),
    "one pixel": np.zeros((1, 1, 3), np.uint8),
    "a line": np.zeros((1, 40_000, 3), np.uint8),
    "objects": np.full((4, 4, 3), None),
    "whole numbers": np.zeros((16, 16, 3), np.int64),
    "channels first": np.zeros((3, 16, 16), np.uint8),
    "turned round": np.zeros((16, 16, 3), np.uint8)[::-1, ::-1],
    "every other": np.zeros((32, 32, 3), np.uint8)[::2, ::2],
    "no array": np.uint8(3),
    "text": np.array("x"),
    "records": np.zeros(3, [("a", "u1")]),
}
VALUES = {
    "None": None,
    "a word": "x",
    "an empty text": "",
    "a text with a null": "a\0b",
    "half a character": "\ud800",
    "bytes": b"x",
    "true": True,
    "zero": 0,
    "minus one": -1,
    "one and a half": 1.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "a large number": 10**9,
    "a huge number": 10**400,
    "a huge float": 1e308,
    "numpy's number": np.int64(3),
    "numpy's float": np.float32(0.5),
    "numpy's nan": np.float32("nan"),
    "a decimal": Decimal("0.04"),
    "a decimal nan": Decimal("nan"),
    "a signalling nan": Decimal("snan"),
    "a fraction": Fraction(1, 25),
    "a complex number": 1j,
    "an empty list": [],
    "a nested list": [["a", "b"]],
    "a list of None": [None],
    "a tuple": (1, 2),
    "a pair of words": ("a", "b"),
    "a pair of nan": (float("nan"), 1.0),
    "a pair of huge numbers": (10**400, 1),
    "a dictionary": {"a": 1},
    "a set": {1},
    "an iterator": iter([np.zeros((16, 16, 3), np.uint8)]),
    "a generator": (n for n in "ab"),
    "a function": len,
    "a class": dict,
    "an object": Strange(),
    "a folder": Path("/"),
    "a file that is not there": Path("/no/such/file.png"),
    "a long name": "x" * 5000,
    **PICTURES,
}
