"""A file that a library wrote and will read again, behind a line of our own that says whose it is.

Libraries trust what they read: a foreign or altered file may do anything. So the first line, JSON, has a magic word,
facts, and the sha256 of what follows, and nothing reaches a library that is not what its line says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from engines.fields import parse_json, read_bytes
from engines.part_file import write_whole

_LONGEST_HEADER = 1000  # bytes; ours are under 400
_MOST_BYTES = 1 << 30


def write_headed(path: Path, magic: str, facts: Mapping[str, str], blob: bytes) -> None:
    """Replace the file by `blob` behind its line. Raises as `engines.part_file.PartFile` does."""
    header = {"magic": magic, **facts, "sha256": hashlib.sha256(blob).hexdigest()}
    write_whole(path, json.dumps(header).encode() + b"\n", blob)


def read_headed(path: Path, magic: str) -> tuple[dict[str, object], bytes]:
    """The line and what follows it. ValueError for a file that is no `magic`, or is not whole; OSError."""
    content = read_bytes(path, most_bytes=_MOST_BYTES)
    line, _, blob = content.partition(b"\n")
    try:
        header = parse_json(line).found if len(line) < _LONGEST_HEADER else None
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("magic") != magic:
        raise ValueError("it does not begin as one")
    if header.get("sha256") != hashlib.sha256(blob).hexdigest():
        raise ValueError("it is cut off or altered")
    return header, blob
