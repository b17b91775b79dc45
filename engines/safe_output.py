"""The gate for everything that a command writes: where it may go, told before the work; and what a disk refuses.

`check_outputs` looks at all outputs of a command beside all its inputs. `safe_output` and `refusing` stand around the
writing itself, with a file that appears whole (`engines.part_file`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engines.errors import DiskError, InputError, OutputError
from engines.file_names import utf8_name
from engines.foreign import reason
from engines.part_file import check_no_zero, target_of, try_place, whole_file

_LONGEST_NAME = 230  # bytes: file systems take 255, and the hidden name is longer
ELSEWHERE = "or write somewhere else"
_ADVICE = {
    errno.ENOSPC: f"free some space, {ELSEWHERE}",
    errno.EDQUOT: f"the disk quota is used up: free some space, {ELSEWHERE}",
    errno.EFBIG: f"free some space, or raise the limit on a file's size, {ELSEWHERE}",
    errno.EACCES: f"it is not writable: change the permissions, {ELSEWHERE}",
    errno.EPERM: f"it is not writable: change the permissions, {ELSEWHERE}",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.EROFS: "the file system is read-only: write somewhere else",
    errno.ENOENT: f"make its folder first (mkdir -p), {ELSEWHERE}",
    errno.ENOTDIR: f"a part of its path is a file; make a folder, {ELSEWHERE}",
    errno.EEXIST: f"a part of its path is a file; make a folder, {ELSEWHERE}",
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BROKEN = (
    errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.EUCLEAN, errno.ETIMEDOUT, errno.EHOSTDOWN,
    errno.ENOTCONN, errno.EREMOTEIO,
)  # fmt: skip


def check_outputs(
    outputs: Mapping[str, Path | str | None], inputs: Mapping[str, Path | str | None], *, suffixes: tuple[str, ...] = ()
) -> None:
    """Look at every file that a command is to write, before the long work. None: not asked for, or not given.

    `outputs`: by what a message calls each, "the result"; two of them are never one file. `inputs`: files, and folders
    in which nothing may be written, by the same: "the portrait". One that is not there is somebody else's to tell.
    `suffixes`: how names of outputs end, in small letters. Raises OutputError where none can be written, InputError
    where one would replace what it is made of.
    """
    wanted = {what: Path(path) for what, path in outputs.items() if path is not None}
    for what, path in wanted.items():
        if suffixes and path.suffix.lower() not in suffixes:
            raise OutputError(f"{path}: {what} is written as {', '.join(suffixes)}; choose one of these endings")
        check_place(path)
    for number, (what, path) in enumerate(wanted.items()):
        for other in list(wanted)[:number]:
            if _one_place(path, wanted[other]):
                raise InputError(f"{path}: {other} and {what} would be one file; give one of them another name")
        for name, source in inputs.items():
            if source is not None:
                _check_apart(path, what, Path(source), name)


def check_place(path: Path) -> None:
    """Raises OutputError, before the long work, when no file can be written there. It leaves nothing."""
    if not path.name or str(path) in (".", ""):
        raise OutputError(f"{str(path)!r} names no file; give a file name")
    try:
        utf8_name(path.absolute())
    except UnicodeError:
        raise OutputError(f"{path} is no UTF-8, which the libraries that write it need; give another name") from None
    except OSError as error:  # of a relative one, when the current folder is gone
        raise refusal(path, error) from error
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise OutputError(f"{path.name[:20]}... is too long for a file's name; choose one of at most 200 letters")
    try:
        final = target_of(path)
        if not final.parent.is_dir():
            raise OutputError(f"{final.parent} is no folder; make it first (mkdir -p), {ELSEWHERE}")
        try_place(final)  # permissions, a read-only or a broken disk: only trying tells
    except OSError as error:
        raise refusal(path, error) from error


def check_folder(folder: Path, inputs: Mapping[str, Path | str | None], *, apart: bool = False) -> None:
    """As `check_outputs`, for a folder that a command fills, made or not: it may not lie in one of the inputs.

    `apart`: nor may they lie in it, for what is in it may be deleted. Raises OutputError and InputError.
    """
    check_no_zero(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; a folder is needed: give another name")
    for name, source in inputs.items():
        if source is not None:
            _check_apart(folder, "the folder", Path(source), name)
            if apart:
                _check_apart(Path(source), name, folder, "the folder to write")


@contextmanager
def safe_output(final: Path, *, left: str = "") -> Iterator[Path]:
    """`part_file.whole_file`, explained: raises OutputError and DiskError for what the disk refuses in the block."""
    with refusing(final, left=left), whole_file(final) as path:
        yield path


@contextmanager
def refusing(what: Path | str, *, left: str = "") -> Iterator[None]:
    """What the system refuses in the block is `refusal`'s."""
    try:
        yield
    except OSError as error:
        raise refusal(what, error, left=left) from error


def refusal(what: Path | str, error: Any, *, left: str = "") -> OutputError:
    """The error to raise for an OSError, or FFmpeg's, met while `what` was written. `left`: what became of it."""
    code = getattr(error, "errno", None)
    said = f"{what} could not be written: {reason(error)}; "
    after = f". {left}" if left else ""
    if code in BROKEN:
        return DiskError(f"{said}the disk fails, or the connection to it: see to it, {ELSEWHERE}{after}")
    return OutputError(f"{said}{_ADVICE.get(code or 0, 'write somewhere else')}{after}")


def refused_by_disk(error: Any) -> bool:
    """Whether an OSError, or FFmpeg's, is about the place where it was written, which `refusal` explains."""
    return getattr(error, "errno", None) in (*_ADVICE, *BROKEN)


def same_file(one: Path | str, other: Path | str) -> bool:
    """Whether both names lead to one existing file or folder, through links too."""
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):  # one of them does not exist, or cannot
        return False


def _check_apart(path: Path, what: str, source: Path, name: str) -> None:
    """Raises InputError where `path` is the input `source`, or lies in it."""
    if same_file(path, source):
        raise InputError(f"{path} is {name} itself; give {what} another name")
    if not os.path.isdir(source):  # which holds for any text
        return
    real = Path(os.path.realpath(path))
    if any(same_file(above, source) for above in real.parents) or _is_named_in(source, real):
        raise InputError(f"{path} lies in {source}, which is {name}; write {what} somewhere else")


def _is_named_in(folder: Path, file: Path) -> bool:
    """Whether a file that exists has another name in `folder` or below: a hard link, or a link that leads to it."""
    if not file.is_file():
        return False
    waiting, seen = [str(folder)], set()  # no recursion: a stranger's folders are as deep as they like
    while waiting:
        where = waiting.pop()
        if (place := os.path.realpath(where)) in seen:  # a link that leads back
            continue
        seen.add(place)
        with suppress(OSError):  # not ours to read
            for name in os.listdir(where):
                path = os.path.join(where, name)
                if os.path.isdir(path):
                    waiting.append(path)
                elif same_file(file, path):
                    return True
    return False


def _one_place(one: Path, other: Path) -> bool:
    """Whether two outputs would be one file. Letters' case may not count in the folder, so it does not here."""
    if same_file(one, other):
        return True
    a, b = (Path(os.path.realpath(path)) for path in (one, other))
    return same_file(a.parent, b.parent) and a.name.casefold() == b.name.casefold()
