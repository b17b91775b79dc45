"""What a loop goes on from, when a long render is left and taken up again: small arrays and whole numbers by name.

A loop of a model makes it, and takes it back; who keeps it in between does not know what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class LoopState:
    """The state behind a frame that ends a chunk."""

    arrays: Mapping[str, np.ndarray]
    numbers: Mapping[str, int]
