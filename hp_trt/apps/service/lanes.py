"""Which engines are whose: a lane is a thread around a maker of results, and does one thing at a time.

Lanes take the next job of their kinds (`hp_trt.apps.service.jobs`). Live sessions have an engine of their own
(`live_lane`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any, Generic, Protocol, TypeVar

from engines.errors import HpTrtError
from hp_trt.apps.service.job import Job, JobState, Kind
from hp_trt.apps.service.jobs import Jobs
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.work import Observers

log = logging.getLogger("hp_trt.service")
_LOOKS_EVERY_S = 1.0


class Maker(Protocol):
    """What a lane works with: `hp_trt.apps.service.maker.ClipMaker`, or one of enhancements."""

    @property
    def silent_s(self) -> float: ...
    def make(self, job: Job, observers: Observers) -> JobState: ...
    def close(self) -> None: ...


AMaker = TypeVar("AMaker", bound=Maker)


class JobLane(Generic[AMaker]):
    """One thread that makes results of jobs of some kinds, with a maker of its own, which it closes."""

    def __init__(self, name: str, jobs: Jobs, maker: AMaker, *, kinds: Collection[Kind]) -> None:
        self.name, self.maker, self.job = name, maker, ""
        self._jobs, self._kinds = jobs, kinds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name.replace(" ", "-"), daemon=True)

    def start(self, observers: Callable[[Job], Observers]) -> None:
        self._observers = observers
        self._thread.start()

    def stop(self, wait_s: float) -> bool:
        """No job begins any more; whether the thread has ended in time."""
        self._stop.set()
        with self._jobs.changed:
            self._jobs.changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Let go of the engines; not while the thread works."""
        self.maker.close()

    def _work(self) -> None:
        while not self._stop.is_set():
            job = self._jobs.take(_LOOKS_EVERY_S, self._kinds)
            if job is None:
                continue
            self.job = job.id
            try:
                state = self.maker.make(job, self._observers(job))
            except Exception:
                log.exception("a job ended in a way that nobody foresaw", extra={"job": job.id})
                job.error = Problem("internal", "the service made a mistake, which its log has").to_json()
                state = "failed"
            self.job = ""
            self._jobs.end(job, state)


def check_engines(lanes: Iterable[JobLane[Any]], stall_s: float) -> list[str]:
    """Which lanes owe a sign of life for longer than `stall_s`, a word for each."""
    return [lane.name for lane in lanes if lane.maker.silent_s > stall_s]


def close_quietly(closing: Callable[[], None]) -> None:
    """Close what may be broken: the process ends anyway."""
    try:
        closing()
    except HpTrtError:
        log.exception("a lane could not be closed")
