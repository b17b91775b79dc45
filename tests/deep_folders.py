"""Folders inside each other: more than Python calls itself, and than a path has letters."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def deep_folders(folder: Path, *, deep: int = 1500) -> Iterator[None]:
    """Made in `folder`, which must be there, for the time of the block."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(deep):
        os.mkdir("folder", dir_fd=here)
        below = os.open("folder", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        yield
    finally:  # Python's own removal calls itself for each
        subprocess.run(["rm", "-rf", folder / "folder"], check=True)
