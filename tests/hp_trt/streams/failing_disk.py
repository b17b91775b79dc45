"""A disk that fails after so many bytes, below `PartWriter`."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from hp_trt.streams.pipes import PartWriter


class FailingFile:
    """`file`, which takes `most` bytes in all, the last write in part, and then refuses with `code`."""

    def __init__(self, file: Any, most: int, code: int) -> None:
        self._file, self.left, self._code = file, most, code

    def write(self, data: bytes) -> int:
        taken = self._file.write(data[: self.left]) if self.left else 0
        self.left -= taken
        if not taken and len(data):
            raise OSError(self._code, os.strerror(self._code))
        return taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def failing_after(monkeypatch: Any, most: int, code: int = errno.ENOSPC) -> list[FailingFile]:
    """Every `PartWriter` from now on writes to such a disk; returns those that were made."""
    made: list[FailingFile] = []
    init = PartWriter.__init__

    def limited(self: PartWriter, path: Path) -> None:
        init(self, path)
        self._file = FailingFile(self._file, most, code)
        made.append(self._file)

    monkeypatch.setattr(PartWriter, "__init__", limited)
    return made
