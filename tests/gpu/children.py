"""Parts as processes: started, listened to, and ended when their time is over.

Each is a session of its own, so that what it started goes with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.gpu.lines import Line

ROOT = Path(__file__).resolve().parents[2]
GRACE_S = 3.0  # between a part's own end and the end of our patience
LISTEN_EVERY_S = 0.1


class Child:
    """One running part. `until_s` on the clock of `time.time`."""

    def __init__(self, folder: Path, number: int, part: str, until_s: float, *arguments: str) -> None:
        self.part, self.until_s = part, until_s
        self._file, self._log = folder / f"{number}-{part}.jsonl", folder / f"{number}-{part}.log"
        self._file.touch()
        self._read = 0
        self._late = False  # it was ended by us
        self._open: tuple[str, str] | None = None  # the line it is at
        self._open_s = 0.0  # since when
        self._planned: dict[tuple[str, str], None] = {}  # lines that it has not begun, in its order
        command = [sys.executable, "-m", "tests.gpu.part", part, "--lines", self._file, "--until", str(until_s)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*map(str, command), *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def crashed(self) -> bool:
        """It has ended by a signal that was not ours."""
        return not self._late and (self._process.returncode or 0) < 0

    @property
    def end(self) -> str:
        """How it ended, in words."""
        return "no time was left" if self._late else _how(self._process.returncode)

    def news(self) -> Iterator[Line]:
        """The lines it has told since the last call."""
        with self._file.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        complete = text[: text.rfind(b"\n") + 1]
        self._read += len(complete)
        for row in map(json.loads, complete.splitlines()):
            if "planned" in row:
                self._planned |= dict.fromkeys(map(tuple, row["planned"]))
            elif "began" in row:
                self._open, self._open_s = tuple(row["began"]), time.time()
                self._planned.pop(self._open, None)
            else:
                self._open = None
                yield Line(**row)

    def last_words(self) -> Iterator[Line]:
        """Once it has ended: the lines not yet read, and one for what it was at, if it did not end by itself."""
        yield from self.news()
        if self._process.returncode:
            section, name = self._open or (self.part, "process")
            seconds = time.time() - self._open_s if self._open else 0.0
            status, text = "failed", f"{self.end}{self._said()}"
            if self._late:
                status, text = "not run", "no time left: its process was ended"
            yield Line(section=section, name=name, status=status, text=text, seconds=seconds)

    def left_out(self) -> Iterator[Line]:
        """Once it has ended: the lines that it never began."""
        why = "no time left" if self._late else f"left out: {self.end} before"
        for section, name in self._planned:
            yield Line(section=section, name=name, status="not run", text=why)

    def stop(self) -> None:
        """End it and all that it started."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def wait(self, meanwhile: Callable[[], None] = lambda: None) -> Iterator[Line]:
        """Its lines as they come, until it has ended or its time is over; `meanwhile` is called again and again."""
        while self.running and time.time() < self.until_s + GRACE_S:
            yield from self.news()
            meanwhile()
            time.sleep(LISTEN_EVERY_S)
        self._late = self.running
        self.stop()
        yield from self.last_words()

    def _said(self) -> str:
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"; its last words: {said[-1][:300]}" if said else ""


def _how(code: int) -> str:
    return f"the process died of {signal.Signals(-code).name}" if code < 0 else f"the process ended with code {code}"
