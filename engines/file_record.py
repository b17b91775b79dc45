"""Files as they were when the build finished with them, and the record that names them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any


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


def files_to_json(files: Mapping[str, FileRecord]) -> dict[str, Any]:
    return {path: asdict(file) for path, file in files.items()}


def files_from_json(data: Mapping[str, Any]) -> dict[str, FileRecord]:
    return {path: FileRecord(sha256=file["sha256"], bytes=file["bytes"]) for path, file in data.items()}


def check_record(name: str, key: str, folder: str, files: Mapping[str, FileRecord]) -> None:
    """What every record of a bundle keeps: it becomes folder names. Raises ValueError."""
    if not name.isidentifier():
        raise ValueError(f"a graph's name must be an identifier, got {name!r}")
    if len(key) < 12 or set(key) - set("0123456789abcdef"):
        raise ValueError(f"{name}: need a key of at least 12 lower-case hex digits, got {key!r}")
    for path in files:
        if PurePosixPath(path).parent != PurePosixPath(folder):
            raise ValueError(f"{name}: a file must lie in {folder}, got {path!r}")
