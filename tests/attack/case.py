"""One case: a command, what lies around it, and what is wrong with how it ended."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np

MOST_BYTES = 1 << 30
MOST_S = 60.0
_MOST_LINES, _MOST_LETTERS = 3, 600 + len("error: ")
REFUSED, DONE = 2, 0
EITHER = frozenset({DONE, REFUSED})

Door = str  # the module whose `main` the words are for


@dataclass(frozen=True, kw_only=True)
class Case:
    """`words` are the command's; the files that it reads lie in `inputs`, what it may write is `outputs`."""

    family: str
    name: str  # what is hostile about it
    words: tuple[str, ...]
    outputs: tuple[Path, ...] = ()
    codes: frozenset[int] = EITHER  # that are right
    door: Door = "hp_trt.__main__"
    stdin: bytes | None = None
    records: bool = False  # what came until it failed is kept, under its name or beside it
    heard: bool = True  # somebody hears what it says
    # How a command begins counts: then it is a new process of Python, with `environment` and, called before, `before`.
    anew: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int | None  # None: it had to be killed
    signal: int
    out: str
    err: str
    seconds: float
    peak_bytes: int


@dataclass
class Around:
    """What lay in a case's folder before the command, but for its outputs; and the outputs that were there."""

    folder: Path
    outputs: tuple[Path, ...]
    records: bool = False
    before: dict[str, str] = field(default_factory=dict)
    old: dict[Path, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.old = {path: seen(path) for path in self.outputs if os.path.lexists(path)}
        self.before = dict(_tree(self.folder, self.outputs))

    def faults(self, *, done: bool) -> Iterator[str]:
        """What is destroyed, torn or left."""
        after = dict(_tree(self.folder, self.outputs))
        for name in sorted(self.before.keys() - after.keys()):
            yield f"destroyed: {name} is gone"
        for name in sorted(after.keys() - self.before.keys()):
            if not (self.records and ".cut-off." in name):
                yield f"left: {name}"
            elif why := torn(self.folder / name):
                yield f"torn: {name}: {why}"
        for name in sorted(after.keys() & self.before.keys()):
            if after[name] != self.before[name]:
                yield f"destroyed: {name} is not as it was"
        for path in self.outputs:
            here = os.path.lexists(path)
            if path in self.old and not here:
                yield f"destroyed: {path.name} was there before"
            elif here and self.old.get(path) != seen(path):
                if why := torn(path):
                    yield f"torn: {path.name}: {why}"
                elif not (done or self.records):
                    yield f"destroyed: {path.name} was replaced by a command that failed"


def faults(case: Case, ended: Ended, around: Around) -> list[str]:
    """Everything that is wrong; empty: the case passed."""
    found = list(_faults_of_exit(case, ended))
    if ended.peak_bytes > MOST_BYTES:
        found.append(f"memory: {ended.peak_bytes / 1e6:.0f} MB")
    found += around.faults(done=ended.code == DONE)
    return found


def _faults_of_exit(case: Case, ended: Ended) -> Iterator[str]:
    if ended.code is None:
        yield f"hang: no end within {MOST_S:.0f} s"
        return
    if "Traceback (most recent call last)" in ended.err:
        yield "traceback"
    if ended.signal:
        yield f"wrong exit: died of signal {ended.signal}"
    elif ended.code not in case.codes:
        yield f"wrong exit: {ended.code}, right is {' or '.join(map(str, sorted(case.codes)))}"
    told = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    if ended.code and not ended.signal and case.heard:
        if len(told) != 1:
            yield f"wrong exit: {len(told)} lines that begin with error:"
        rest = ended.err[ended.err.find("error: ") :].strip() if told else ""
        if len(rest.splitlines()) > _MOST_LINES or len(rest) > _MOST_LETTERS:
            yield f"wrong exit: a message of {len(rest.splitlines())} lines and {len(rest)} letters"
    elif told:
        yield "wrong exit: an error line, and success"


def torn(path: Path) -> str:
    """What is wrong with a finished file, by another reader than ours; empty: nothing."""
    try:
        if path.suffix in (".mp4", ".mov", ".mkv"):
            with av.open(str(path)) as file:
                count = sum(1 for _ in file.decode(file.streams.video[0]))
            return "" if count else "no frame in it"
        if path.suffix == ".png":
            from PIL import Image

            with Image.open(path) as image:
                np.asarray(image)
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def seen(path: Path) -> str:
    """What is at a path: its kind, and of a file its content."""
    entry = path.lstat()
    if stat.S_ISLNK(entry.st_mode):
        return f"link to {os.readlink(path)}"
    if stat.S_ISREG(entry.st_mode):
        with path.open("rb") as file:
            return f"{entry.st_mode:o} {hashlib.file_digest(file, 'sha1').hexdigest()}"
    return f"{entry.st_mode:o} {entry.st_rdev if not stat.S_ISDIR(entry.st_mode) else 'folder'}"


def _tree(folder: Path, but: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    """Everything in a folder. A lock file is empty and may stay."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if path in but or any(parent in but for parent in path.parents):
                continue
            if name == ".lock" and path.is_file() and not path.stat().st_size:
                continue
            yield str(path.relative_to(folder)), seen(path)
