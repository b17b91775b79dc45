"""A file, or a folder, that grows out of sight and appears whole.

It has a hidden name in the folder it is meant for until it gets its own name in one rename; until then, whatever had
that name stays. Each has a random name and a lock (`engines.held`): two writers of one name, in threads or in
containers, never share one, and the last to finish wins whole. What a killed process left goes when the next file of
the same name is begun.

A link is written through: the file that it leads to is replaced, the link stays. What is no regular file, a device or
a pipe, is never replaced. The permission bits of a file that is replaced are kept.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from engines.errors import OutputError
from engines.held import TOKEN, is_left, let_go, make_held, new_folder, remove, remove_left

_DEEPEST = 8  # folders inside each other in which something of ours can lie
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # a file system that cannot, which is no failure


class PartFile:
    """The hidden file of `final`, made and held. Raises OSError where the folder does not allow it, OutputError for a
    `final` that cannot be replaced.

    `precious`: what it holds is worth something unfinished too. Then it stays where the process ends without `commit`
    and `discard`, and what killed processes left is not removed.
    """

    def __init__(self, final: Path, *, precious: bool = False) -> None:
        self.final = target_of(final)
        if not precious:
            for part in _parts(self.final):
                remove_left(part)
        self.path, handle = make_held(partial(_hidden, self.final), _new_file, kept=precious)
        self._file = os.fdopen(handle, "r+b", buffering=0)
        with suppress(OSError):  # no file to replace, or somebody else's
            os.fchmod(handle, stat.S_IMODE(os.stat(self.final).st_mode) & 0o777)

    def commit(self, final: Path | None = None, *, synced: bool = True) -> None:
        """Give the file, which is on the disk then, its name, or another. OSError: what had the name has it still.

        `synced=False`: also where the disk does not say that it is there, for what is worth something even so.
        """
        try:
            os.fsync(self._file)
        except OSError as error:
            if synced and error.errno not in _NO_SYNC:
                raise
        final = self.final if final is None else target_of(final)
        os.replace(self.path, final)
        let_go(self.path)
        self._file.close()
        sync_folder(final.parent)

    def discard(self) -> None:
        """Remove it, if it is not committed; what `final` names stays. Twice is fine."""
        if not self._file.closed:
            self.path.unlink(missing_ok=True)
            let_go(self.path)
            self._file.close()


@contextmanager
def whole_file(final: Path) -> Iterator[Path]:
    """The hidden file that gets the name `final` when the block ends without an error, and goes otherwise.

    Raises as `PartFile` does.
    """
    part = PartFile(final)
    try:
        yield part.path
        part.commit()
    finally:
        part.discard()


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """As `whole_file`, for a folder, which is empty at first; `final` must not be there, or be empty."""
    path, handle = make_held(partial(_hidden, final), new_folder)
    try:
        yield path
        os.rename(path, final)
        sync_folder(final.parent)
    finally:
        with suppress(FileNotFoundError):  # it has its name
            remove(path)
        let_go(path)
        os.close(handle)


def write_whole(final: Path, *parts: bytes | memoryview) -> None:
    """Write `parts`, one behind the other. Raises as `PartFile` does; then what was there is there still."""
    with whole_file(final) as path, path.open("wb") as file:
        for part in parts:
            file.write(part)


def try_place(final: Path) -> None:
    """Make a part of `final` and remove it: only trying tells whether a disk takes it. Raises OSError."""
    path, handle = make_held(partial(_hidden, final), _new_file)
    try:
        path.unlink(missing_ok=True)
        let_go(path)
    finally:
        os.close(handle)


def orphans(final: Path) -> list[Path]:
    """The parts of `final` that processes left which were killed."""
    return [part for part in _parts(final) if is_left(part)]


def sweep_below(folder: Path) -> None:
    """Remove what killed processes left half written in `folder` and its subfolders; links are not followed."""
    for where, folders, files in os.walk(folder):
        if len(Path(where).relative_to(folder).parts) >= _DEEPEST:
            folders.clear()
        for name in (*folders, *files):
            if re.fullmatch(rf"\..+\.{TOKEN}\.part", name):
                remove_left(Path(where, name))


def target_of(path: Path) -> Path:
    """The file that `path` names, through links, there or not. Raises OutputError where that cannot be replaced."""
    check_no_zero(path)
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except FileNotFoundError:
        if path.is_symlink():
            raise OutputError(f"{path} is a link that leads nowhere; remove it, or give another name") from None
        return path
    if kind == stat.S_IFDIR:
        raise OutputError(f"{path} is a folder; give a file name in it")
    if kind != stat.S_IFREG:
        what = _KINDS.get(kind, "no regular file")
        raise OutputError(f"{path} is {what}, which a file would replace; give a file name instead")
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def check_no_zero(path: Path) -> None:
    """Raises OutputError for a zero byte in a path, at which the system would only raise a ValueError."""
    if "\0" in str(path):
        raise OutputError(f"{path} has a zero in it, which no name may have; give another name")


def sync_folder(folder: Path) -> None:
    """Push a folder's list of names to the disk, where that can be done: what was renamed is so either way."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _hidden(final: Path, token: str) -> Path:
    return final.with_name(f".{final.name}.{token}.part")


def _parts(final: Path) -> list[Path]:
    pattern = re.compile(rf"\.{re.escape(final.name)}\.{TOKEN}\.part")
    try:
        return [final.with_name(name) for name in os.listdir(final.parent) if pattern.fullmatch(name)]
    except OSError:  # a folder that cannot be read tells when it is written
        return []


def _new_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
