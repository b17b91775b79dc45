"""A file that grows out of sight and appears whole.

It has a hidden name in the folder it is meant for until `commit` gives it its own; until then, whatever had that
name stays. A process that is killed cannot clean up, so the next file of the same name removes what
such a process left: a part that nobody holds a lock on.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class PartFile:
    """The hidden file of `final`, made and held. OSError where the folder does not allow it."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.with_name(f".{final.name}.{os.getpid()}.part")
        _sweep(final)
        self._handle = self.path.open("wb")
        with suppress(OSError):  # a file system without locks
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def commit(self) -> None:
        os.replace(self.path, self.final)
        self._handle.close()

    def discard(self) -> None:
        """Remove it, committed or not; what `final` names stays. Twice is fine."""
        if not self._handle.closed:
            self._handle.close()
            self.path.unlink(missing_ok=True)


def _sweep(final: Path) -> None:
    with suppress(OSError):  # tidying is no reason to fail
        for entry in final.parent.iterdir():
            if entry.name.startswith(f".{final.name}.") and entry.name.endswith(".part") and entry.is_file():
                with entry.open("rb") as handle, suppress(BlockingIOError):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    entry.unlink()
