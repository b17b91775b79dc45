"""Engines that make clips, a profile each, and the portraits that they have encoded: what a lane is a thread around.

A maker gives a sign of life with every piece of work; one that owes it for too long hangs, and only a new process
helps.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hp_trt.apps.service.engine import Engine, OpenEngine
from hp_trt.apps.service.job import Job, JobState
from hp_trt.apps.service.origin import Sealing
from hp_trt.apps.service.portrait_files import PortraitFiles, portrait_of
from hp_trt.apps.service.problems import Problem, without_paths
from hp_trt.apps.service.work import Files, Observers, animate, run_job
from runtime.stages import Stages

_GIVEN = {"video": "driving", "audio": "audio"}  # what drives a model -> what an engine calls it
_KEPT_PORTRAITS = 8  # encoded, of each maker


class Heartbeat:
    """When somebody last gave a sign of life. For any thread."""

    def __init__(self, steady_s: Callable[[], float] = time.monotonic) -> None:
        self._steady_s = steady_s
        self._busy_since_s: float | None = None

    def beat(self) -> None:
        self._busy_since_s = self._steady_s()

    def rest(self) -> None:
        """Nothing is owed."""
        self._busy_since_s = None

    @property
    def silent_s(self) -> float:
        """How long a sign of life is owed; 0 at rest."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else self._steady_s() - since_s


class ClipMaker:
    """Opened where it is made. `make` is for one thread at a time, the rest for any. Raises what opening an engine
    raises."""

    def __init__(
        self, open_engine: OpenEngine, profiles: tuple[str, ...], *, sealing: Sealing, files: PortraitFiles
    ) -> None:
        self.heartbeat = Heartbeat()
        self._sealing, self._files = sealing, files
        self._engines: dict[str, Engine] = {}
        self._portraits: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._encoding: set[Heartbeat] = set()
        self._guard = threading.Lock()
        try:
            for profile in profiles:
                self._engines[profile] = open_engine(profile)
        except BaseException:
            self.close()
            raise

    def make(self, job: Job, observers: Observers) -> JobState:
        """Run a job; how it ended. Its `result` or `error` is set."""
        request = job.request
        if request.profile is None or request.portrait is None:  # of a service that had an enhancer
            job.error = no_enhancer().to_json()
            return "failed"
        engine = self._engines[request.profile]
        kept = self._files.place(job.owner, request.portrait)

        def portrait(profile: str, identity: str, file: Path, stages: Stages) -> Any:
            made = self.portrait(profile, identity, file, stages, kept)
            self._files.keep(engine, made, file, kept, job.owner)
            return made

        def work(stages: Stages, files: Files) -> Any:
            return animate(job, engine, portrait, self._sealing.ready(request, job.mark_id), stages, files)

        self.heartbeat.beat()
        try:
            return run_job(job, work, observers, beat=self.heartbeat.beat)
        finally:
            self.heartbeat.rest()

    def portrait(
        self, profile: str, identity: str, file: Path, stages: Stages | None = None, kept: Path | None = None
    ) -> Any:
        """An encoded portrait, kept for the next time. For any thread. Raises InputError, FaceNotFound.

        `kept`: its portrait file, which is read where it is there, and else may be written once.
        """
        key = (profile, identity)
        with self._guard:
            if key in self._portraits:
                self._portraits.move_to_end(key)
                return self._portraits[key]
        with self._beating():
            made = portrait_of(self._engines[profile], file, kept, stages)
        with self._guard:
            self._portraits[key] = made
            while len(self._portraits) > _KEPT_PORTRAITS:
                self._portraits.popitem(last=False)
        return made

    @contextmanager
    def _beating(self) -> Iterator[Heartbeat]:
        """Something is encoded beside the clips, and owes signs of life too."""
        heartbeat = Heartbeat()
        with self._guard:
            self._encoding.add(heartbeat)
        heartbeat.beat()
        try:
            yield heartbeat
        finally:
            with self._guard:
                self._encoding.discard(heartbeat)

    @property
    def motion_bytes(self) -> int:
        """How much of a motion file one frame takes."""
        return int(next(iter(self._engines.values())).model.motion_bytes)

    def write_motion(self, profile: str, driver: Path, out: Path, cancel: threading.Event) -> None:
        """Encode what moves portraits into a motion file. For any thread. Raises InputError, FaceNotFound, OutputError,
        Cancelled once `cancel` is set."""
        engine = self._engines[profile]
        with self._beating() as heartbeat:
            stages = Stages(lambda event: heartbeat.beat(), most_spans=0, cancel=cancel)
            engine.write_motion(out, stages=stages, **{_GIVEN[engine.model.driver]: driver})

    def forget(self, identity: str) -> None:
        """A portrait that its owner deleted is not kept."""
        with self._guard:
            for key in [key for key in self._portraits if key[1] == identity]:
                del self._portraits[key]

    @property
    def silent_s(self) -> float:
        """How long it owes a sign of life: of its clip, or of a portrait that is encoded."""
        with self._guard:
            return max(heartbeat.silent_s for heartbeat in (self.heartbeat, *self._encoding))

    def check(self, most_s: float) -> None:
        """Raises RuntimeError where it owes a sign of life for longer."""
        if self.silent_s > most_s:
            raise RuntimeError(f"no sign of life for {self.silent_s:.0f} s: a library hangs")

    @property
    def notes(self) -> list[str]:
        """What a user should know of its first engine."""
        first = next(iter(self._engines.values()))
        return [without_paths(note) for note in getattr(first, "notes", ())]

    def close(self) -> None:
        """Let go of the engines; not while the thread works."""
        self._portraits.clear()
        for engine in self._engines.values():
            engine.close()


def no_enhancer() -> Problem:
    """Of an enhancement where there is no enhancer."""
    return Problem(
        "impossible",
        "this service enlarges no videos; whoever runs it starts it with --enhancer shipped:enhancer_pocket, or with "
        "the folder of another bundle of the enhancer",
    )
