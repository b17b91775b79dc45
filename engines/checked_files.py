"""Files of a bundle held against their records: before they are opened, or while they are read.

A plan is code, so what was hashed must be what runs: `read_checked` reads a file once, into memory of ours, and hashes
the bytes that it hands out. Whoever writes into the file meanwhile, or replaces it, changes nothing of them; a mapped
file would change under the reader. sha256 takes most of the time and lets other threads run, so several files are
hashed at once, and the next plan is read while one is opened. Weights of a graph are numbers: they are hashed while a
library reads them, and the graph is nobody's before they are.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from engines.cores import available_cores
from engines.errors import BundleError
from engines.file_record import FileRecord, hash_file

_PIECE = 4 << 20  # bytes; stays in the cache between reading and hashing
_MOST_THREADS = 8
Item = TypeVar("Item")


def check_files(folder: Path, files: Mapping[str, tuple[FileRecord, str]]) -> None:
    """Hash files of a bundle, several at a time. `files`: path in it -> what there should be, and what to do where
    it is not. Raises BundleError for the first that is something else, OSError."""
    if not files:
        return
    with ThreadPoolExecutor(max_workers=min(available_cores(), len(files), _MOST_THREADS)) as threads:
        for path, found in zip(files, threads.map(lambda path: hash_file(folder / path), files), strict=True):
            _require(folder / path, found, *files[path])


@contextmanager
def checked_meanwhile(folder: Path, files: Mapping[str, tuple[FileRecord, str]]) -> Iterator[None]:
    """As `check_files`, beside what is done inside: for numbers, that somebody else reads and nobody uses before the
    end. What fails inside is of files that are what they should be: else these are said to be others."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        checked = thread.submit(check_files, folder, files)
        try:
            yield
        except Exception:
            checked.result()
            raise
        checked.result()


def read_checked(path: Path, needed: FileRecord, mend: str) -> memoryview:
    """The bytes of a file, which are those of its record. `mend`: what to do where they are not. Raises BundleError."""
    try:
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(-1, max(needed.bytes, 1)))[: needed.bytes]  # of no file
            digest, done = hashlib.sha256(), 0
            while done < needed.bytes and (count := file.readinto(content[done : done + _PIECE])):
                digest.update(content[done : done + count])
                done += count
            done += len(file.read(1))
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
    _require(path, FileRecord(sha256=digest.hexdigest(), bytes=done), needed, mend)
    return content


def ahead(items: Iterable[Item], read: Callable[[Item], memoryview]) -> Iterator[tuple[Item, memoryview]]:
    """Each item with what was read for it; the next one's is read while the caller has this one's."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        begun = None
        for item in items:
            following = item, thread.submit(read, item)
            if begun is not None:
                yield begun[0], begun[1].result()
            begun = following
        if begun is not None:
            yield begun[0], begun[1].result()


def _require(path: Path, found: FileRecord, needed: FileRecord, mend: str) -> None:
    if found == needed:
        return
    if found.bytes != needed.bytes:
        difference = f"{found.bytes} bytes, needed {needed.bytes}"
    else:
        difference = f"sha256 {found.sha256[:12]}..., needed {needed.sha256[:12]}..."
    raise BundleError(f"{path} was changed: {difference}; {mend}")
