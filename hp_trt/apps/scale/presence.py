"""Which processes of a cluster live, as the folder says that all of them share.

    alive/NAME    what a process says of itself (JSON), its time renewed every second

No clock of a machine is compared with another's: the folder's own times say how long a file was not renewed. Whoever
has not renewed its file for `LEASE_S` is taken for dead.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engines.fields import read_json

log = logging.getLogger("hp_trt.scale")
LEASE_S = 10.0
_EVERY_S = 1.0
_FORGOTTEN_S = 600.0  # a file of somebody dead is removed then
_NAME = re.compile(r"[a-z]+-[0-9a-f]{16}")
_MOST_BYTES = 1 << 20


class Presence:
    """This process among the others. For any thread.

    `kind`: what it is: "front", "clips", "encode" or "live". `lease_s`, `every_s`: as above, in seconds. Raises OSError
    where the folder cannot be written.
    """

    def __init__(self, folder: Path, kind: str, *, lease_s: float = LEASE_S, every_s: float = _EVERY_S) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.name = f"{kind}-{secrets.token_hex(8)}"
        self._folder, self._kind, self._lease_s, self._every_s = folder, kind, lease_s, every_s
        self._about: dict[str, Any] = {"kind": kind}
        self._others: dict[str, Mapping[str, Any]] = {}
        self._guard = threading.Lock()
        self._each: list[Callable[[], None]] = []
        self._end = threading.Event()
        self._write()
        self._look()
        self._thread = threading.Thread(target=self._beat, name="scale-presence", daemon=True)
        self._thread.start()

    @property
    def others(self) -> Mapping[str, Mapping[str, Any]]:
        """What the others say that lived when it was last looked, within a second or two: by their names."""
        return self._others

    def lives(self, name: str) -> bool:
        """Whether a process lives, this one among them; the folder is asked."""
        if name == self.name:
            return True
        if not _NAME.fullmatch(name):
            return False
        try:
            return self._age_s(self._folder / name) < self._lease_s
        except OSError:
            return False

    def is_first(self) -> bool:
        """Whether this is the one of its kind that does what one of them has to do."""
        same = [name for name, about in self._others.items() if about.get("kind") == self._kind]
        return all(self.name < name for name in same)

    def say(self, **about: Any) -> None:
        """Tell the others something. A disk that refuses is tried again within a second."""
        with self._guard:
            self._about |= about
            with suppress(OSError):
                self._write()

    def each(self, work: Callable[[], None]) -> None:
        """`work` is done every second from now on, in the thread of the signs of life."""
        self._each.append(work)

    def close(self) -> None:
        """This process is gone for the others, at once."""
        self._end.set()
        self._thread.join(self._lease_s)
        (self._folder / self.name).unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._end.wait(self._every_s):
            for work in (self._renew, self._look, *self._each):
                try:
                    work()
                except Exception:  # a folder that is away for a moment, or somebody's mistake: life goes on
                    log.exception("a sign of life failed")

    def _renew(self) -> None:
        with self._guard:
            try:
                os.utime(self._folder / self.name)
            except FileNotFoundError:
                self._write()

    def _write(self) -> None:
        """Not through `engines.part_file`, which waits for the disk: what is lost here is written again in a second."""
        hidden = self._folder / f".{self.name}"
        hidden.write_text(json.dumps(self._about))
        os.replace(hidden, self._folder / self.name)

    def _look(self) -> None:
        found: dict[str, Mapping[str, Any]] = {}
        for name in os.listdir(self._folder):
            if name == self.name or not _NAME.fullmatch(name):
                continue
            with suppress(OSError, ValueError):  # it ended meanwhile
                age_s = self._age_s(self._folder / name)
                if age_s < self._lease_s:
                    found[name] = read_json(self._folder / name, most_bytes=_MOST_BYTES).mapping()
                elif age_s > _FORGOTTEN_S:
                    (self._folder / name).unlink()
        self._others = found

    def _age_s(self, path: Path) -> float:
        """How much longer ago than this process's own file another one was renewed."""
        return os.stat(self._folder / self.name).st_mtime - os.stat(path).st_mtime
