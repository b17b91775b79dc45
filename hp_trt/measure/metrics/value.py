"""A number, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Missing:
    """A number that could not be had: never a silent zero."""

    why: str


Value = float | Missing
