"""TEMPORARY: stands for the invisible mark until that is merged, so that what calls it can run. It marks nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Found:
    """What was found in some frames."""

    payload: int | None
    score: float


class Mark(Protocol):
    def embed(self, frame: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> a new array of the same."""


class Finder(Protocol):
    def find(self, frames: Iterable[np.ndarray]) -> Found: ...


class InvisibleMark:
    def __init__(self, payload: int) -> None:
        self.payload = payload

    def embed(self, frame: np.ndarray) -> np.ndarray:
        return frame.copy()


class InvisibleMarkFinder:
    def find(self, frames: Iterable[np.ndarray]) -> Found:
        for _ in frames:
            pass
        return Found(None, 0.0)
