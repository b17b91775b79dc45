"""Wheels for tests, and a file that is pinned as the real one is."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

from hp_trt.fetch.table import MESH, Fetched

CONTENT = b"four hundred and sixty-eight points " * 100
WANTED: Fetched = replace(MESH, size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
NAME = "mediapipe-0.10.21-cp312-cp312-manylinux_2_28_x86_64.whl"


def write_wheel(
    folder: Path, content: bytes | None = CONTENT, *, name: str = NAME, packed: int = zipfile.ZIP_DEFLATED
) -> Path:
    """A wheel that pip takes, with that file in it; None: without."""
    path, about = folder / name, "mediapipe-0.10.21.dist-info"
    with zipfile.ZipFile(path, "w", packed) as wheel:
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: mediapipe\nVersion: 0.10.21\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: cp312-cp312-manylinux_2_28_x86_64\n")
        wheel.writestr(f"{about}/RECORD", "")
        if content is not None:
            wheel.writestr(WANTED.member, content)
    return path
