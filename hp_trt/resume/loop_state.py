"""What a loop hands from one chunk of a long render to the next: named arrays and numbers.

On the disk the arrays are bare bytes, little-endian, one behind the other, in a file whose hash is known. Their names,
types and shapes stand in the chunk's record, so that no header can claim more than the file has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engines.fields import Field

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_KINDS = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
)  # fmt: skip
_MOST = 1000  # arrays, and numbers
_LONGEST_SIDE = 1 << 40
_MOST_DIMS = 16
_LARGEST = 10**90  # of a whole number: more digits are not read back


@dataclass(frozen=True, kw_only=True, eq=False)
class LoopState:
    """The state of a loop behind a chunk. It owns nothing: arrays are written before `close_chunk` returns.

    `arrays`: of numbers or truth values, any shape. `numbers`: whole ones, of 90 digits at most, and finite floats.
    Names are small letters, digits and underscores. Raises ValueError for anything else.
    """

    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    numbers: Mapping[str, int | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (*self.arrays, *self.numbers):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name in a state; use small letters, digits and underscores")
        for name, array in self.arrays.items():
            if not isinstance(array, np.ndarray) or array.dtype.name not in _KINDS or array.ndim > _MOST_DIMS:
                raise ValueError(f"{name} of a state must be an array of numbers, got {type(array).__name__}")
        for name, number in self.numbers.items():
            if isinstance(number, bool) or not isinstance(number, int | float) or not _is_kept(number):
                raise ValueError(f"{name} of a state must be a finite number, got {number!r}")


def state_bytes(state: LoopState) -> Iterator[memoryview]:
    """The content of the state's file, array by array."""
    for array in state.arrays.values():
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        yield little.reshape(-1).view(np.uint8).data


def state_to_json(state: LoopState) -> dict[str, Any]:
    """What the record says of a state: its numbers, and how its file is to be read."""
    arrays = [[name, array.dtype.name, list(array.shape)] for name, array in state.arrays.items()]
    return {"arrays": arrays, "numbers": dict(state.numbers)}


def state_from(said: Field, content: bytes) -> LoopState:
    """The state that a record describes, of its file's content, in new arrays. Raises ValueError: they disagree."""
    arrays, begin = {}, 0
    for row in said["arrays"].listed(most=_MOST):
        name, kind = row[0].text(), np.dtype(row[1].choice(_KINDS))
        shape = tuple(side.whole(0, _LONGEST_SIDE) for side in row[2].listed(most=_MOST_DIMS))
        end = begin + math.prod(shape) * kind.itemsize
        if end > len(content):
            raise row.wrong("an array that lies in the state's file", f"{end} bytes of {len(content)}")
        flat = np.frombuffer(content[begin:end], kind.newbyteorder("<"))
        arrays[name], begin = flat.astype(kind).reshape(shape), end
    if begin != len(content):
        raise said["arrays"].wrong("all of the state's file", f"{begin} bytes of {len(content)}")
    numbers = {name: number.number() for name, number in said["numbers"].entries(most=_MOST)}
    return LoopState(arrays=arrays, numbers=numbers)


def _is_kept(number: float) -> bool:
    return abs(number) < _LARGEST if isinstance(number, int) else math.isfinite(number)
