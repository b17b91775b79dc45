"""One file as it was when the build finished with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """Hash and size of one file."""

    sha256: str
    bytes: int


def hash_file(path: Path) -> FileRecord:
    """sha256 and size of a file, streamed."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
        return FileRecord(sha256=digest.hexdigest(), bytes=stream.tell())
