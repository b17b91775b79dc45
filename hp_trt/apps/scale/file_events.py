"""What happened to a job, in a file beside it: whoever works on it adds lines, and any process reads them.

The number of an event is that of its line, so a listener that comes back to another process goes on where it was.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from engines.fields import parse_json
from hp_trt.apps.service.events import JobEvent, number_in

_LOOKS_EVERY_S = 0.2
_EVERY_PART = 400  # progress is told at most so often in the time that has passed: a long clip has a bounded file
_MOST_BYTES = 1 << 24
_END = "end"


class FileEvents:
    """The events of a job's file: see `hp_trt.apps.service.events.JobEvents`. One object is one process's.

    `released`: set when whoever listens here is let go, to listen at another process.
    """

    def __init__(
        self,
        path: Path,
        life: str,
        *,
        released: threading.Event | None = None,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.life = life
        self._path, self._released, self._steady_s = path, released or threading.Event(), steady_s
        self._begin_s, self._told_s = steady_s(), -1e9
        self._read: list[JobEvent] = []
        self._offset = self._lines = 0
        self._ended = self._looked = False
        self._guard = threading.Lock()

    def add(self, kind: str, **data: Any) -> None:
        """A line more. A disk that refuses costs the line."""
        now_s = self._steady_s()
        if kind == "progress":
            last = data.get("total") is not None and data.get("done") == data["total"]
            if not last and now_s - self._told_s < (now_s - self._begin_s) / _EVERY_PART:
                return
            self._told_s = now_s
        line = json.dumps({"kind": kind, "data": data}, separators=(",", ":"))
        with suppress(OSError):
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(handle, f"{line}\n".encode())
            finally:
                os.close(handle)

    def end(self) -> None:
        """There will be no more."""
        self.add(_END)

    def begin_again(self) -> None:
        """Nothing is to be done: a file that has not ended goes on."""

    def number_of(self, last_event_id: str | None) -> int:
        """The number that a `Last-Event-ID` names; 0 for one that is none of this job's."""
        return number_in(self.life, last_event_id)

    def after(self, number: int) -> tuple[list[JobEvent], bool]:
        """What was read behind `number`, and whether that is all there will be. The file is read by `wait`."""
        with self._guard:
            over = self._ended or (self._looked and self._released.is_set())
            return [event for event in self._read if event.number > number], over

    async def wait(self, number: int, timeout_s: float) -> bool:
        """Until there is one behind `number`, or the end; False when neither came in time."""
        end_s = self._steady_s() + timeout_s
        while True:
            await asyncio.to_thread(self.look)
            found, ended = self.after(number)
            if found or ended:
                return True
            if self._steady_s() >= end_s:
                return False
            await asyncio.sleep(_LOOKS_EVERY_S)

    def look(self) -> None:
        """Read what has come to the file, which may not be there yet. In any thread but the loop's."""
        self._looked = True
        with self._guard, suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._offset)
            came = file.read(_MOST_BYTES)
            whole, _, _ = came.rpartition(b"\n")
            for line in whole.split(b"\n") if whole else ():
                self._lines += 1
                self._take(line)
            self._offset += len(whole) + 1 if whole else 0

    def _take(self, line: bytes) -> None:
        try:
            field = parse_json(line)
            kind, data = field["kind"].text(), dict(field["data"].mapping())
        except ValueError:  # two that wrote at once, on a disk that does not keep them apart
            return
        if kind == _END:
            self._ended = True
        else:
            self._read.append(JobEvent(number=self._lines, life=self.life, kind=kind, data=data))
