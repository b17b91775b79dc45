"""A portrait as everybody but its model knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from engines.errors import InputError

Encoded = TypeVar("Encoded")
Picture = Path | str | np.ndarray  # a file, or (H, W, 3) uint8 RGB


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """A portrait, encoded once, for any number of clips of the Runtime that made it."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    path: Path | None  # where it came from; None: an array
    notes: tuple[str, ...]  # what a user should know, a line each
    paste: Callable[[np.ndarray], np.ndarray] = field(repr=False)  # the whole picture with a made square in its place
    encoded: Any = field(repr=False)  # what the model keeps of it; nobody else looks inside
    box: tuple[int, int, int, int] | None = None  # x0, y0, x1, y1 in `image` of the square that is made; None: not said
    key: str = ""  # hex: two of one key make the same frames; "": its model says no such thing

    @property
    def square(self) -> np.ndarray | None:
        """The part (h, w, 3) uint8 RGB of the picture that is made anew; None where its model does not say."""
        if self.box is None:
            return None
        x0, y0, x1, y1 = self.box
        return self.image[y0:y1, x0:x1]

    def encoded_by(self, kind: type[Encoded]) -> Encoded:
        """What a model keeps of it, of this `kind`. Raises InputError where another model has encoded it."""
        if not isinstance(self.encoded, kind):
            raise InputError(
                f"{self.path or 'this portrait'} was encoded by another model than this bundle's; encode it with the "
                "portrait() of the Runtime that animates it"
            )
        return self.encoded
