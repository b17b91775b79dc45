"""The lines of a part: each runs guarded, and what became of it is told at once.

A line is one thing measured or asked. It ends as "ok", "missed" (measured, and beyond its limit), "failed" (an error,
with its type and first line) or "not run" (with the reason). Lines travel as JSON, one a row, through a file that
the command reads while the part runs: a part that dies leaves all that it measured, and the name of what it was at.
"""

from __future__ import annotations

import gc
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

STATUSES = ("ok", "missed", "failed", "not run")


class NotRun(Exception):
    """Raised inside a line that finds that it cannot begin: something is missing, or somebody else failed."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a line found: a text for people, facts for machines. `missed`: the limit it did not keep."""

    text: str
    facts: dict[str, Any] = field(default_factory=dict)
    missed: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    section: str
    name: str
    status: str
    text: str
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    beside: bool = False  # graphs were exported or plans built on the CPU meanwhile

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Step:
    """A line to be run: with less than `needs_s` seconds left it is not begun."""

    name: str
    call: Callable[[], Found]
    needs_s: float = 1.0


class Lines:
    """Runs the lines of one part and appends them to `path`, until `until_s` on the clock of `time.time`."""

    def __init__(self, path: Path, until_s: float) -> None:
        self.path, self._until_s = path, until_s

    @property
    def left_s(self) -> float:
        return self._until_s - time.time()

    def plan(self, section: str, names: Sequence[str]) -> None:
        """The lines to come: those that are never begun, because the part is ended or dies, are told by the command."""
        self._append({"planned": [[section, name] for name in names]})

    def run_all(self, section: str, steps: Sequence[Step]) -> None:
        self.plan(section, [step.name for step in steps])
        for step in steps:
            self.run(section, step.name, step.call, needs_s=step.needs_s)

    def run(self, section: str, name: str, call: Callable[[], Found], *, needs_s: float = 1.0) -> Found | None:
        """Run `call` if `needs_s` seconds are left, and no longer than there is time; None when it did not end well."""
        self._append({"began": [section, name]})
        start = time.perf_counter()
        found = None
        if self.left_s < needs_s:
            status, text, facts = "not run", "no time left", {}
        else:
            try:
                with _alarm(self.left_s):
                    found = call()
                status, facts = "missed" if found.missed else "ok", found.facts
                text = f"{found.text}; {found.missed}" if found.missed else found.text
            except NotRun as error:
                status, text, facts = "not run", str(error), {}
            except _Overtime:
                found = None
                status, text, facts = "not run", "no time left: stopped before its end", {}
            except Exception as error:  # whatever it is, the next line may still work
                status, text, facts = "failed", first_line(error), {}
                _let_go(error)
        self.tell(
            Line(section=section, name=name, status=status, text=text, seconds=time.perf_counter() - start, facts=facts)
        )
        return found

    def tell(self, line: Line) -> None:
        self._append(strict(line.to_json()))

    def _append(self, row: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, default=str) + "\n")


def strict(value: Any) -> Any:
    """Without NaN and infinity, which JSON does not know: they become their names."""
    if isinstance(value, dict):
        return {k: strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [strict(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


class _Overtime(BaseException):
    """Not an Exception: libraries catch those and go on."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise _Overtime inside, in that many seconds. Foreign code hears it when it returns; the command ends others."""

    def ring(*_: Any) -> None:
        raise _Overtime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def first_line(error: BaseException) -> str:
    """An error's type and the first line of what it says."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def _let_go(error: BaseException) -> None:
    """Free what the failed line held: its frames hang on the traceback, device memory on its frames."""
    error.__traceback__ = None
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        try:
            torch.cuda.empty_cache()
        except RuntimeError:  # the device is beyond help: the lines to come will say so
            return
