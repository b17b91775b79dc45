"""A file that is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, *parts: bytes | memoryview) -> None:
    """Write `parts` under a hidden name, push them to the disk, then rename. OSError leaves what was there."""
    hidden = path.with_name(f".{path.name}.part")
    try:
        with open(hidden, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)
