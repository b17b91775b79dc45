"""A disk that fails at the n-th write, for tests: every open to write, write, fsync, mkdir and rename below a folder.

Beneath Python, so that FFmpeg, matplotlib and torch meet it too: `faulty_disk.c`, built here and preloaded.
Run in a process of its own: `run_on_a_faulty_disk(program)`, whose program calls `at_every_write`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_SOURCE = Path(__file__).with_suffix(".c")
_ROOT = Path(__file__).parents[2]


def run_on_a_faulty_disk(program: str, folder: Path) -> str:
    """What `program` prints, a Python program that is given `folder`. Skips without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to make a disk fail with")
    library = folder.with_name(f"{folder.name}-disk.so")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"], check=True)
    ended = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env={**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def at_every_write(
    folder: Path,
    work: Callable[[], Any],
    *,
    prepare: Callable[[], Any] = lambda: None,
    is_whole: Callable[[bool], Any],
    every: int = 1,
    most: int = 400,
) -> None:
    """Do `work` in `folder` once for each of its writes: it fails from there on (EIO), or once (ENOSPC).

    `prepare` comes before each. `is_whole` is told whether the work ended well, and looks at what is there: old or new.
    With `every` at 2 each write fails in one of the two ways alone. Prints about how many writes there were.
    """
    from engines.errors import DiskError, OutputError

    disk = ctypes.CDLL(None)
    number = 0
    for first, (code, for_ever) in enumerate(((errno.EIO, 1), (errno.ENOSPC, 0))):
        for number in range(first % every, most, every):
            prepare()
            disk.disk_arm(os.fsencode(folder), ctypes.c_long(number), code, for_ever)
            found: BaseException | None = None
            try:
                work()
            except BaseException as error:
                found = error
            reached = ctypes.c_long(disk.disk_seen()).value > number
            disk.disk_arm(b"", ctypes.c_long(-1), 0, 0)
            where = f"write {number}, {errno.errorcode[code]}: {found!r}"
            assert found is None or isinstance(found, OutputError), where
            if found is not None:
                assert isinstance(found, DiskError) == (code == errno.EIO), where
                assert os.strerror(code) in str(found), where
            hidden = [str(path.relative_to(folder)) for path in folder.rglob(".*.part*")]
            assert not hidden, f"{where}: left {hidden}"
            try:
                is_whole(found is None)
            except Exception as error:
                raise AssertionError(where) from error
            if not reached:
                assert found is None, where
                break
        else:
            raise AssertionError(f"more than {most} writes")
    print(f"{number} writes")
