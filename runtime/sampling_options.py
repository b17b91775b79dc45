"""What the models' sampling options have in common: overrides by name, and numbers that a network can compute with.

Which options there are, and what they may be, stands in each model's `sampling.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from numbers import Real
from typing import Any, TypeVar

import numpy as np

from engines.errors import InputError

Options = TypeVar("Options")
_LARGEST = float(np.finfo(np.float32).max)


def with_overrides(kind: type[Options], defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> Options:
    """The dataclass `kind` of a bundle's defaults with the caller's overrides; an override of None is not one.

    Raises InputError for a name that does not exist, with the nearest that does.
    """
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]  # a dataclass
    given = {**defaults, **{k: v for k, v in overrides.items() if v is not None}}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise InputError(f"there is no sampling option {name}; {hint}")
    return kind(**given)


def finite(value: Any) -> bool:
    """A number that a float holds; the networks compute in 32 bits."""
    return is_number(value, Real) and abs(value) <= _LARGEST


def is_number(value: Any, kind: type) -> bool:
    """A number of that kind, Python's or NumPy's; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def check(fine: bool, message: str) -> None:
    """Raises InputError of that message unless it is fine."""
    if not fine:
        raise InputError(message)
