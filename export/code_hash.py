"""Our own code's part in a content key: what was made by other code is made again."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

_HERE = Path(__file__).parent


@functools.cache
def code_hash(*rooms: str) -> str:
    """sha256 (hex) over every module of these rooms of `export/`, names and contents: "graphs", "plans/plan.py"."""
    digest = hashlib.sha256()
    for room in rooms:
        path = _HERE / room
        files = [path] if path.suffix == ".py" else sorted(path.glob("*.py"))
        for file in files:
            digest.update(f"{file.relative_to(_HERE).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()
