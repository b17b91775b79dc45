"""What a living process holds, and what a killed one left.

Work in progress has a hidden name and a lock that dies with its process, however that ends. So whoever comes next
knows what nobody will finish, and removes it. Two containers may both be process 1: names are random, and locks alone
say who lives. Where a file system has no locks nobody can know, and nothing is removed.

A process that ends in order, by Ctrl-C or a kill that asks too, removes what it has begun: a signal may come between
the making of a file and the first line that knows of it, so names are noted before anything is made.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

TOKEN = r"(?:[0-9a-f]{16}|\d{1,10})"  # of a hidden name; digits alone: an earlier version's process
_TRIES = 20
_begun: dict[Path, int] = {}  # what this process has begun, and its number: a forked child has the table too


def make_held(name: Callable[[str], Path], make: Callable[[Path], int], *, kept: bool = False) -> tuple[Path, int]:
    """A new file or folder with a hidden `name` of a token, and its open descriptor, locked until that is closed.

    `make` makes it, refuses what is there, and opens it. It goes when the process ends in order, unless it is `kept` or
    `let_go` was told. Raises OSError.
    """
    for _ in range(_TRIES):
        path = name(secrets.token_hex(8))
        if not kept:
            _begun[path] = os.getpid()
        try:
            handle = make(path)
        except FileExistsError:
            let_go(path)
            continue
        except OSError:  # of a signal nobody knows whether it came before the making or behind it
            let_go(path)
            raise
        if _lock(handle) is not False and _names(path, handle):
            return path, handle
        os.close(handle)  # one who swept was here between the making and the lock: the next name will do
        let_go(path)
    raise BlockingIOError(f"{name('')} is locked by another process each time it is made")


def let_go(path: Path) -> None:
    """Nothing is owed to `path` any more: it has its own name by now, or is gone."""
    _begun.pop(path, None)


def is_left(path: Path) -> bool:
    """Whether `path` is a file or folder, no link, that nobody holds; False where that cannot be known."""
    handle = _open(path)
    if handle is None:
        return False
    try:
        return _lock(handle) is True
    finally:
        os.close(handle)


def remove_left(path: Path) -> None:
    """Remove `path` if it is left. Never raises: tidying is no reason to fail."""
    handle = _open(path)
    if handle is None:
        return
    try:
        if _lock(handle) is True and _names(path, handle):
            with suppress(OSError):
                remove(path)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it; of a link the link. Raises OSError."""
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def new_folder(path: Path, mode: int = 0o777) -> int:
    """Make a folder and open it. Raises OSError, and then there is none; FileExistsError also where it went at once."""
    os.mkdir(path, mode)
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:  # one who swept was here in between: to `make_held` the next name will do
        raise FileExistsError(error.errno, "removed at once by another process", str(path)) from error
    except OSError:
        os.rmdir(path)
        raise


def _open(path: Path) -> int | None:
    """Opened to be locked, without following a link and without waiting for a pipe's other end."""
    try:
        mode = os.lstat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return None
        access = os.O_RDONLY | os.O_DIRECTORY if stat.S_ISDIR(mode) else os.O_RDWR  # NFS locks what may be written
        return os.open(path, access | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


def _lock(handle: int) -> bool | None:
    """True: locked; False: somebody else has; None: there are no locks here."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _names(path: Path, handle: int) -> bool:
    """Whether `path` still names what is open as `handle`."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    except OSError:
        return False


@atexit.register
def _remove_begun() -> None:
    for path, process in list(_begun.items()):
        if process == os.getpid():
            with suppress(OSError):
                remove(path)
