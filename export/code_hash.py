"""Our own code's part in a content key: what was made by other code is made again."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

EXPORT = Path(__file__).parent  # the folder that rooms are named in


@functools.cache
def code_hash(*rooms: str) -> str:
    """sha256 (hex) over every module of these rooms of `export/`, names and contents: "graphs", "plans/plan.py"."""
    digest = hashlib.sha256()
    for file in code_files(*rooms):
        digest.update(f"{file.relative_to(EXPORT).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def code_files(*rooms: str) -> list[Path]:
    """The modules of these rooms, in their order. A room of a room is another one. ValueError for one without any."""
    files: list[Path] = []
    for room in rooms:
        path = EXPORT / room
        found = [path] if path.suffix == ".py" else sorted(path.glob("*.py"))
        if not found or not found[0].is_file():
            raise ValueError(f"export/{room} holds no module; a content key needs every room that it names")
        files += found
    return files
