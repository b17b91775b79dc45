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

from engines.errors import OutputError

_LONGEST_NAME = 230  # bytes: file systems take 255, and the hidden name is longer


class PartFile:
    """The hidden file of `final`, made and held. OSError where the folder does not allow it.

    `sweep=False` leaves what killed processes left: such parts may be worth something.
    """

    def __init__(self, final: Path, *, sweep: bool = True) -> None:
        self.final = final
        self.path = final.with_name(f".{final.name}.{os.getpid()}.part")
        if sweep:
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


def same_file(one: Path | str, other: Path | str) -> bool:
    """Whether both names lead to one existing file, through links too."""
    try:
        return Path(one).samefile(other)
    except OSError:  # one of them does not exist
        return False


def check_place(path: Path) -> None:
    """Raises OutputError, before the long work, when no file can be written there."""
    folder = path.parent
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise OutputError(f"{path.name[:20]}... is too long for a file's name; choose one of at most 200 letters")
    if not folder.is_dir():
        raise OutputError(f"{folder} is no folder; make it first (mkdir -p), or write somewhere else")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give a file name in it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} cannot be written; change its permissions, or write somewhere else")


def orphans(final: Path) -> list[Path]:
    """The parts of `final` that processes left which were killed."""
    found = []
    with suppress(OSError):  # a folder that cannot be read tells when it is written
        for entry in final.parent.iterdir():
            if entry.name.startswith(f".{final.name}.") and entry.name.endswith(".part") and entry.is_file():
                with entry.open("rb") as handle, suppress(BlockingIOError):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    found.append(entry)
    return found


def _sweep(final: Path) -> None:
    for part in orphans(final):
        with suppress(OSError):  # tidying is no reason to fail
            part.unlink()
