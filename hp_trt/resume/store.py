"""The folder beside a result in which an unfinished render is kept, chunk by chunk, so that a killed one goes on.

    talk.mp4.resume/
      facts.json         what is rendered: written first, removed first; without it there is no run here
      000000.out.mp4     chunk 0 of the track "out": so many frames, a closed file that can be played
      000000.crop.mp4    the same of the track "crop"
      000000.state       the arrays of the loop's state behind chunk 0; only the last two chunks have theirs
      000000.json        the record of chunk 0: its frames, the hashes of its files, the numbers of its state
      .lock              held as long as a run is at it; .lock.holder says who

A chunk's files are written under hidden names, are on the disk before they get their own, and the record comes last:
the rename of the record is the moment from which the chunk counts. A kill at any other moment costs the chunk that was
being made. What is there is read back by its hashes: where a file was damaged the store goes back to the last chunk
that is good and has its state. A disk that cannot read a file now ends the run, and nothing is given up.

Files are ours by their names, which the table shows. Others stay, and a folder that has only others is none of ours.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import FileLock, Timeout

from engines.errors import Busy, InputError, OutputError
from engines.fields import Field, read_bytes, read_json
from engines.file_record import FileRecord, files_from_json, files_to_json, hash_file
from engines.foreign import reason
from engines.held import TOKEN, remove_left
from engines.part_file import sync_folder, write_whole
from engines.safe_output import refusing
from hp_trt.resume.facts import as_json, differences
from hp_trt.resume.loop_state import LoopState, state_bytes, state_from, state_to_json

Mode = Literal["new", "resume", "restart"]

_FACTS, _LOCK, _HOLDER = "facts.json", ".lock", ".lock.holder"
_TRACK = re.compile(r"[a-z][a-z0-9_]*")
_WHOLE = r"facts\.json|\.lock|\.lock\.holder|\d{6,9}\.(json|state|[a-z][a-z0-9_]*\.mp4)"
_PART = re.compile(rf"\.({_WHOLE})\.{TOKEN}\.part")
_OURS = re.compile(rf"{_WHOLE}|{_PART.pattern}")
_NUMBERED = re.compile(r"(\d{6,9})\.(json|state|[a-z][a-z0-9_]*\.mp4)")
# A file that is not there was lost. One that cannot be read now may be read the next time: then nothing is given up.
_MISSING = (FileNotFoundError, IsADirectoryError)
_MOST_BYTES = 4 << 20  # of facts, or of a record
_MOST_FRAMES = 10**9
_TRIES = 5
_STATES = 2  # that are kept: should the last one be damaged, one chunk is lost
_SHOWN = 4  # facts that differ, or names of files


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A finished piece of the render."""

    number: int
    first: int  # its first frame, counted from the run's
    frames: int
    files: Mapping[str, FileRecord]  # by name: its tracks, and its state
    state: Mapping[str, Any]  # as `state_to_json` says it


class ChunkStore:
    """The one run that may write the store `folder`, from its making to `close`, or to `remove`.

    `mode` "new" refuses a run that is there, "resume" goes on with it, "restart" removes it. A store in which no chunk
    is finished holds nothing: any mode begins in it. `names`: of the tracks. `rate`: frames per second, for messages.
    `state` and `frames` say where the loop goes on, also when the store is gone; `notes` what a user should know.
    Raises InputError for a run that may not be gone on with, OutputError for what the folder or the disk refuses.
    """

    def __init__(
        self, folder: Path, *, names: tuple[str, ...], facts: Mapping[str, Any], mode: Mode, rate: Fraction
    ) -> None:
        if mode not in get_args(Mode):
            raise ValueError(f"a mode is one of {', '.join(get_args(Mode))}, got {mode!r}")
        if wrong := [name for name in names if not _TRACK.fullmatch(name)]:
            raise ValueError(f"a track's name is of small letters, digits and underscores, got {wrong[0]!r}")
        self.folder = folder
        self.chunks: list[Chunk] = []
        self.state: LoopState | None = None
        self.notes: list[str] = []
        self._removed = False
        self._names, self._rate, self._facts = names, rate, as_json(facts)
        self._lock = FileLock(folder / _LOCK, thread_local=False)
        with refusing(self._shown):
            self._take_lock()
            try:
                self._open(mode)
            except BaseException:
                self.close()
                raise

    @property
    def frames(self) -> int:
        """Frames that are finished."""
        return self.chunks[-1].first + self.chunks[-1].frames if self.chunks else 0

    @property
    def kept(self) -> str:
        """What an error says of the work that is done."""
        return f"{self._shown} keeps what is done ({self._said(self.chunks)}): go on with --resume"

    def file(self, number: int, name: str) -> Path:
        """The file of a track in a chunk, there or not."""
        return self.folder / f"{number:06}.{name}.mp4"

    def add(self, frames: int, state: LoopState) -> None:
        """The next chunk's files, which are on the disk by their names, and the `state` behind it are finished.

        It counts, even after a loss of power, when this returns. Raises OSError; then it does not count.
        """
        number = len(self.chunks)
        state_file = self._state_file(number)
        write_whole(state_file, *state_bytes(state))
        paths = [*(self.file(number, name) for name in self._names), state_file]
        chunk = Chunk(
            number=number,
            first=self.frames,
            frames=frames,
            files={path.name: hash_file(path) for path in paths},
            state=state_to_json(state),
        )
        write_whole(self._record_file(number), _to_text(chunk).encode())
        self.chunks.append(chunk)
        self.state = state
        with suppress(OSError):  # the chunk counts; the next run removes it
            self._state_file(number - _STATES).unlink(missing_ok=True)

    def remove(self) -> None:
        """The result has its name, or nothing was done: the folder goes, but for files of others.

        Never raises: a note says what stays.
        """
        self._removed = True
        try:
            self._clear()
            for name in (_HOLDER, _LOCK):
                (self.folder / name).unlink(missing_ok=True)
            if others := self._others():
                self.notes.append(f"{self._shown} stays: it has files that are none of this program's ({others})")
            else:
                self.folder.rmdir()
        except OSError as error:
            self.notes.append(f"{self._shown} could not be removed ({reason(error)}); it is not needed any more")

    def close(self) -> None:
        """Let another run have the store; a store in which nothing is done goes. Twice is fine."""
        if not self._lock.is_locked:
            return
        try:
            with suppress(OSError):
                if not self._removed:
                    (self.folder / _HOLDER).unlink(missing_ok=True)
                    if not self.chunks and not self._numbers("json"):
                        self.remove()
        finally:
            self._lock.release()

    @property
    def _shown(self) -> str:
        return f"{self.folder}/"

    def _take_lock(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise OutputError(f"{self.folder} is a file; what is unfinished is kept in a folder of this name: move it")
        self._refuse_others()
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):  # the run before this one has removed its store
                self.folder.mkdir(exist_ok=True)
                try:
                    self._lock.acquire(timeout=0)
                except Timeout:
                    raise Busy(
                        f"{self._shown} is being written by {self._holder()}; wait until it is done, or give the "
                        "result another name"
                    ) from None
                if (self.folder / _LOCK).exists():
                    return
                self._lock.release()
        raise InputError(f"{self._shown} comes and goes: another run is beginning there; give the result another name")

    def _holder(self) -> str:
        try:
            return read_bytes(self.folder / _HOLDER, most_bytes=1000).decode(errors="replace")
        except (OSError, ValueError):
            return "another process"

    def _open(self, mode: Mode) -> None:
        holder = f"process {os.getpid()} on {socket.gethostname()} since {time.ctime()}"
        write_whole(self.folder / _HOLDER, holder.encode())
        sync_folder(self.folder.parent)
        for name in self._names_there():
            if _PART.fullmatch(name):
                remove_left(self.folder / name)
        self._refuse_others()
        is_begun = (self.folder / _FACTS).is_file() and bool(self._numbers("json"))
        if mode == "new" and is_begun:
            raise InputError(
                f"{self._shown} holds an unfinished run ({self._said(list(self._recorded()))}); go on with --resume, "
                "or begin anew with --restart"
            )
        if mode == "resume" and is_begun:
            self._check_facts()
            self._go_back_to_what_is_good()
            return
        if mode == "resume":
            self.notes.append(f"{self._shown} holds no finished chunk: the run begins at its first frame")
        self._clear()
        write_whole(self.folder / _FACTS, json.dumps(self._facts, indent=1).encode())

    def _check_facts(self) -> None:
        anew = "or begin anew with --restart"
        try:
            there = read_json(self.folder / _FACTS, most_bytes=_MOST_BYTES).mapping()
        except ValueError as error:
            raise InputError(f"{self.folder / _FACTS} is damaged ({reason(error)}); restore it, {anew}") from error
        if found := list(differences(there, self._facts)):
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise InputError(
                f"{self._shown} holds a run of something else: {'; '.join(found[:_SHOWN])}{more}; give what that run "
                f"was given, {anew}"
            )

    def _go_back_to_what_is_good(self) -> None:
        """Take the chunks up to the last one that is whole and has its state, and remove what lies behind it."""
        recorded = max(self._numbers("json")) + 1
        for chunk in self._recorded():
            if not all(_is_good(self.folder / name, file) for name, file in chunk.files.items() if not _is_state(name)):
                break
            self.chunks.append(chunk)
        while self.chunks and (state := self._state_of(self.chunks[-1])) is None:
            self.chunks.pop()
        self.state = state if self.chunks else None
        if recorded > len(self.chunks):
            begin = float(self.frames / self._rate)
            self.notes.append(
                f"{self._shown} has damaged files: {recorded - len(self.chunks)} of its {recorded} chunks are made "
                f"again, from {begin:.2f} s on"
            )
        done = len(self.chunks)
        # From behind: what is left of a kill in between is still one run, without a gap.
        for number, path in sorted(self._numbered(), reverse=True):
            if number >= done or (path.suffix == ".state" and number < done - _STATES):
                path.unlink(missing_ok=True)
        sync_folder(self.folder)

    def _recorded(self) -> Iterator[Chunk]:
        """The chunks that have a record, from the first on without a gap; their files may be anything."""
        first = 0
        for number in count():
            needed = {self.file(number, name).name for name in self._names} | {self._state_file(number).name}
            try:
                chunk = _from_json(read_json(self._record_file(number), most_bytes=_MOST_BYTES))
            except (*_MISSING, ValueError):  # none, or a damaged one
                return
            if (chunk.number, chunk.first) != (number, first) or set(chunk.files) != needed:
                return
            yield chunk
            first += chunk.frames

    def _state_of(self, chunk: Chunk) -> LoopState | None:
        path = self._state_file(chunk.number)
        needed = chunk.files[path.name]
        try:
            content = read_bytes(path, most_bytes=needed.bytes)
            if hashlib.sha256(content).hexdigest() != needed.sha256:
                return None
            return state_from(Field(chunk.state), content)
        except (*_MISSING, ValueError):
            return None

    def _clear(self) -> None:
        """Remove the run: from the moment when its facts are gone there is none. Raises OSError."""
        (self.folder / _FACTS).unlink(missing_ok=True)
        sync_folder(self.folder)
        for name in self._names_there():
            if _OURS.fullmatch(name) and name not in (_LOCK, _HOLDER):
                (self.folder / name).unlink(missing_ok=True)

    def _refuse_others(self) -> None:
        if self.folder.is_dir() and not (self.folder / _FACTS).is_file() and (others := self._others()):
            raise OutputError(
                f"{self._shown} is no folder of an unfinished run: it has {others}; move it, or give the result "
                "another name"
            )

    def _others(self) -> str:
        """The first names of what is not ours."""
        found = sorted(name for name in self._names_there() if not _OURS.fullmatch(name))
        return ", ".join([*found[:_SHOWN], *(["..."] if len(found) > _SHOWN else [])])

    def _names_there(self) -> list[str]:
        """Names of ours count only of files: a folder or a link of such a name is somebody's."""
        with os.scandir(self.folder) as entries:
            return [
                entry.name if entry.is_file(follow_symlinks=False) else f"{entry.name}{os.sep}" for entry in entries
            ]

    def _numbered(self) -> Iterator[tuple[int, Path]]:
        for name in self._names_there():
            if found := _NUMBERED.fullmatch(name):
                yield int(found[1]), self.folder / name

    def _numbers(self, ending: str) -> list[int]:
        return [number for number, path in self._numbered() if path.name.split(".", 1)[1] == ending]

    def _record_file(self, number: int) -> Path:
        return self.folder / f"{number:06}.json"

    def _state_file(self, number: int) -> Path:
        return self.folder / f"{number:06}.state"

    def _said(self, chunks: list[Chunk]) -> str:
        frames = chunks[-1].first + chunks[-1].frames if chunks else 0
        return f"{len(chunks)} chunk{'' if len(chunks) == 1 else 's'}, {float(frames / self._rate):.2f} s"


def facts_there(folder: Path) -> Mapping[str, Any]:
    """The facts of the run that is kept in `folder`; nothing where there is none, or they cannot be read."""
    try:
        return read_json(folder / _FACTS, most_bytes=_MOST_BYTES).mapping()
    except (OSError, ValueError):
        return {}


def _is_good(path: Path, needed: FileRecord) -> bool:
    try:
        return hash_file(path) == needed
    except _MISSING:
        return False


def _is_state(name: str) -> bool:
    return name.endswith(".state")


def _to_text(chunk: Chunk) -> str:
    said = {
        "chunk": chunk.number,
        "first": chunk.first,
        "frames": chunk.frames,
        "files": files_to_json(chunk.files),
        "state": dict(chunk.state),
    }
    return json.dumps(said | {"sha256": _sha256(said)}, indent=1, allow_nan=False)


def _from_json(record: Field) -> Chunk:
    """Raises ValueError for a record that is not as it was written."""
    said = dict(record.mapping())
    if said.pop("sha256", None) != _sha256(said):
        raise record.wrong("a record as it was written", "another hash")
    return Chunk(
        number=record["chunk"].whole(0, _MOST_FRAMES),
        first=record["first"].whole(0, _MOST_FRAMES),
        frames=record["frames"].whole(1, _MOST_FRAMES),
        files=files_from_json(record["files"]),
        state=record["state"].mapping(),
    )


def _sha256(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
