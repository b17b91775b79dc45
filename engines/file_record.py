"""Files as they were when the build finished with them, and the record that names them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from engines.fields import Field, shown

_MOST_BYTES = 1 << 50  # of a file: what no disk holds is no size


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


def hash_bytes(content: bytes) -> FileRecord:
    """The record of a file of this content."""
    return FileRecord(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def files_to_json(files: Mapping[str, FileRecord]) -> dict[str, Any]:
    return {path: asdict(file) for path, file in files.items()}


def files_from_json(data: Any) -> dict[str, FileRecord]:
    """`data`: a mapping or a Field. ValueError."""
    return {path: _file_from_json(file) for path, file in Field.of(data).entries(most=100)}


def _file_from_json(file: Field) -> FileRecord:
    sha256 = file["sha256"].text()
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise file["sha256"].wrong("64 lower-case hex digits")
    return FileRecord(sha256=sha256, bytes=file["bytes"].whole(0, _MOST_BYTES))


def check_record(name: str, key: str, folder: str, files: Mapping[str, FileRecord]) -> None:
    """What every record of a bundle keeps: it becomes folder names. Raises ValueError."""
    if not (name.isidentifier() and name.isascii() and len(name) <= 100):
        raise ValueError(f"a graph's name must be an identifier, got {shown(name)}")
    if not re.fullmatch(r"[0-9a-f]{12,128}", key):
        raise ValueError(f"{name}: need a key of at least 12 lower-case hex digits, got {shown(key)}")
    for path in files:
        if PurePosixPath(path).parent != PurePosixPath(folder) or not re.fullmatch(r"[\w.-]{1,150}", Path(path).name):
            raise ValueError(f"{name}: a file must lie in {folder}, got {shown(path)}")
