"""Arrays as .npy files, written so that what the disk refuses can be told.

`np.save` gives the file to C, whose error is "N requested and M written" without the system's reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np


def save_array(path: Path, array: np.ndarray) -> None:
    """As `np.save`. Raises OSError with the system's reason."""
    with path.open("wb") as file:
        np.save(_Through(file), array)  # all that it asks of what is no file of C's


class _Through:
    """A file for Python alone."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write
