"""The state folder: what clients uploaded, named by its content, and what each keeps.

    lock                                       held by the one service that may write here, or shared by a cluster's
    ticket.key                                 signs tickets
    incoming/                                  uploads under way; whatever is left there goes at the start
    owners/OWNER/portraits|motions|videos/ID/  `file`, `about.json`, where it was encoded `encoded.safetensors`
    owners/OWNER/jobs/ID/                      `hp_trt.apps.service.jobs`

OWNER is the hash of a token's name, ID that of a file's bytes: nothing that a client sends becomes part of a path. An
upload belongs to one owner; the same bytes of another one are another file. A job has links of its own to what it uses,
so an upload may be deleted while a job runs.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engines.errors import InputError
from engines.fields import read_json
from engines.part_file import sweep_below, sync_folder, whole_folder, write_whole
from engines.safe_output import refusing
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.problems import Problem

_ID = re.compile(r"[pmvj]_[0-9a-f]{32}")
MOST_RECORD_BYTES = 1 << 20
ABOUT, FILE, ENCODED = "about.json", "file", "encoded.safetensors"


class State:
    """The folder, made and held. Raises InputError where another service has it, OutputError where none can be made.

    `shared`: several processes have it, all of them shared. What killed ones left is not swept then: only who is alone
    knows that nobody is at it.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path = path
        self.owners, self.incoming = path / "owners", path / "incoming"
        with refusing(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._lock)
                raise InputError(
                    f"{path} is in use by another service; end that one, or name another folder with --state"
                ) from None
            if not shared:
                shutil.rmtree(self.incoming, ignore_errors=True)
            for folder in (self.owners, self.incoming):
                folder.mkdir(mode=0o700, exist_ok=True)
            if not shared:
                sweep_below(self.owners)
            self.ticket_key = self._key()

    def _key(self) -> bytes:
        place = self.path / "ticket.key"
        with suppress(FileNotFoundError):
            key = place.read_bytes()
            if len(key) == 32:
                return key
        key = secrets.token_bytes(32)
        hidden = self.new_file()
        write_whole(hidden, key)
        hidden.chmod(0o600)
        try:
            os.link(hidden, place)
        except FileExistsError:  # another process of this folder was first; or it is damaged
            if len(known := place.read_bytes()) == 32:
                return known
            os.replace(hidden, place)
        finally:
            hidden.unlink(missing_ok=True)
        return key

    def folder(self, owner: str, kind: str) -> Path:
        """Where an owner's things of a kind are, made."""
        place = self.owners / owner / kind
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return place

    def new_file(self) -> Path:
        """A name for an upload."""
        return self.incoming / secrets.token_hex(16)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.path).free

    def close(self) -> None:
        """Let go of the folder."""
        with suppress(OSError):
            os.close(self._lock)


def is_id(text: str, kind: str) -> bool:
    """Whether it may be the name of something of a kind: "p", "m", "v" or "j"."""
    return bool(_ID.fullmatch(text)) and text.startswith(kind)


@dataclass(frozen=True, kw_only=True)
class Item:
    """An upload. `facts`: what was found in it, as JSON."""

    id: str
    bytes: int
    sha256: str
    created_s: float
    facts: dict[str, Any]


class Items:
    """The uploads of one kind. For any thread."""

    def __init__(self, state: State, kind: str, letter: str, limits: Limits, now_s: Callable[[], float]) -> None:
        self._state, self._kind, self._letter, self._limits, self._now_s = state, kind, letter, limits, now_s
        self._lock = threading.Lock()

    def id_of(self, sha256: str) -> str:
        return f"{self._letter}_{sha256[:32]}"

    def get(self, owner: str, identity: str) -> Item:
        """Raises Problem where this owner has no such upload."""
        found = self._read(self._place(owner, identity)) if is_id(identity, self._letter) else None
        if found is None:
            raise Problem("not-found", f"there is none of the {self._kind} with this id; upload it first")
        return found

    def listed(self, owner: str) -> list[Item]:
        """All of an owner's, the newest first."""
        folder = self._state.owners / owner / self._kind
        names = [entry.name for entry in os.scandir(folder)] if folder.is_dir() else []
        found = [self._read(folder / name) for name in names if is_id(name, self._letter)]
        return sorted((item for item in found if item is not None), key=lambda item: (-item.created_s, item.id))

    def file(self, owner: str, identity: str) -> Path:
        """The file of an upload that is there."""
        return self._place(owner, identity) / FILE

    def encoded(self, owner: str, identity: str) -> Path:
        """Where what was encoded of an upload is kept, once it was; the folder goes with the upload."""
        return self._place(owner, identity) / ENCODED

    def keep_encoded(self, owner: str, identity: str, made: Path) -> Path:
        """Keep what was encoded of an upload; where it is then. Raises Problem where the upload is gone, OSError."""
        with self._lock:
            self.get(owner, identity)
            place = self.encoded(owner, identity)
            os.replace(made, place)
        return place

    def add(self, owner: str, received: Path, *, sha256: str, facts: dict[str, Any]) -> tuple[Item, bool]:
        """Keep a file that was received, which moves; also whether it is new. Raises OSError, Problem."""
        place = self._place(owner, self.id_of(sha256))
        with self._lock:
            if (known := self._read(place)) is not None:
                received.unlink(missing_ok=True)
                return known, False
            folder = self._state.folder(owner, self._kind)
            if sum(1 for _ in os.scandir(folder)) >= self._limits.kept_items_per_token:
                most = self._limits.kept_items_per_token
                raise Problem("quota", f"a token keeps {most} {self._kind}; delete one", retry_after_s=60)
            item = Item(
                id=place.name, bytes=received.stat().st_size, sha256=sha256, created_s=self._now_s(), facts=facts
            )
            shutil.rmtree(place, ignore_errors=True)  # one without a record, which a disk lost
            with whole_folder(place) as hidden:
                os.rename(received, hidden / FILE)
                write_whole(hidden / ABOUT, json.dumps(asdict(item)).encode())
        return item, True

    def delete(self, owner: str, identity: str) -> None:
        """Forget an upload; jobs that use it go on. Raises Problem where there is none, OSError."""
        self.get(owner, identity)
        with self._lock:
            place = self._place(owner, identity)
            away = self._state.new_file()
            with suppress(FileNotFoundError):  # somebody else was first
                os.rename(place, away)
                sync_folder(place.parent)
            shutil.rmtree(away, ignore_errors=True)

    def link(self, owner: str, identity: str, to: Path) -> Item:
        """Give `to` the same content, whatever becomes of the upload. Raises Problem, OSError."""
        with self._lock:
            item = self.get(owner, identity)
            os.link(self.file(owner, identity), to)
        return item

    def _place(self, owner: str, identity: str) -> Path:
        return self._state.owners / owner / self._kind / identity

    def _read(self, place: Path) -> Item | None:
        try:
            about = read_json(place / ABOUT, most_bytes=MOST_RECORD_BYTES)
            return Item(
                id=place.name,
                bytes=about["bytes"].whole(0, 10**15),
                sha256=about["sha256"].text(),
                created_s=about["created_s"].number(),
                facts=dict(about["facts"].mapping()),
            )
        except (OSError, ValueError):
            return None


class Accounts:
    """How much each owner keeps, and what is on its way to them. For any thread."""

    def __init__(self, state: State, limits: Limits) -> None:
        self._state, self._limits = state, limits
        self._lock = threading.Lock()
        self._coming: dict[str, int] = {}

    def kept_bytes(self, owner: str) -> int:
        """On the disk, every file once, however many names it has."""
        seen: dict[tuple[int, int], int] = {}
        for where, _, names in os.walk(self._state.owners / owner):
            for name in names:
                with suppress(OSError):
                    about = os.lstat(os.path.join(where, name))
                    seen[(about.st_dev, about.st_ino)] = about.st_size
        return sum(seen.values())

    def check(self, owner: str, more_bytes: int) -> None:
        """Raises Problem where `more_bytes` would be too many, of the owner's or of the disk's."""
        with self._lock:
            coming, all_coming = self._coming.get(owner, 0), sum(self._coming.values())
        most = self._limits.kept_bytes_per_token
        if self.kept_bytes(owner) + coming + more_bytes > most:
            raise Problem("quota", f"a token keeps {most} bytes at most; delete uploads or wait", retry_after_s=60)
        if self._state.free_bytes() - all_coming - more_bytes < self._limits.free_bytes:
            raise Problem("storage", "the service's disk is nearly full; try later, or tell who runs it")

    def coming(self, owner: str, more_bytes: int) -> None:
        """Count bytes that are on their way, or with a negative number those that have come."""
        with self._lock:
            total = self._coming.get(owner, 0) + more_bytes
            if total:
                self._coming[owner] = total
            else:
                self._coming.pop(owner, None)
