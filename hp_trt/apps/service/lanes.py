"""Which Runtime is whose: a lane is a thread around one, and does one thing at a time.

Clip lanes take the next job (`hp_trt.apps.service.jobs`). Live sessions have an engine of their own (`live_lane`). A
lane gives a sign of life with every piece of work; one that owes it for too long hangs,
and only a new process helps.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engines.errors import HpTrtError
from hp_trt.apps.service.engine import Engine, OpenEngine
from hp_trt.apps.service.job import Job, JobState
from hp_trt.apps.service.jobs import Jobs
from hp_trt.apps.service.origin import Sealing
from hp_trt.apps.service.portrait_files import PortraitFiles, portrait_of
from hp_trt.apps.service.problems import Problem, without_paths
from hp_trt.apps.service.work import Observers, run_job
from runtime.stages import Stages

log = logging.getLogger("hp_trt.service")
_LOOKS_EVERY_S = 1.0
_GIVEN = {"video": "driving", "audio": "audio"}  # what drives a model -> what an engine calls it
_KEPT_PORTRAITS = 8  # encoded, of each lane


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


class ClipLane:
    """One thread that makes clips. Its engines are opened where it is made, one for each profile."""

    def __init__(
        self,
        number: int,
        jobs: Jobs,
        open_engine: OpenEngine,
        profiles: tuple[str, ...],
        *,
        sealing: Sealing,
        files: PortraitFiles,
    ) -> None:
        self.number, self.heartbeat, self.job = number, Heartbeat(), ""
        self._jobs, self._sealing, self._files = jobs, sealing, files
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
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"clip-lane-{number}", daemon=True)

    def start(self, observers: Callable[[Job], Observers]) -> None:
        self._observers = observers
        self._thread.start()

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

    @property
    def notes(self) -> list[str]:
        """What a user should know of its first engine."""
        first = next(iter(self._engines.values()))
        return [without_paths(note) for note in getattr(first, "notes", ())]

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
        self._portraits.clear()
        for engine in self._engines.values():
            engine.close()

    def _work(self) -> None:
        while not self._stop.is_set():
            job = self._jobs.take(_LOOKS_EVERY_S)
            if job is None:
                continue
            self.job = job.id
            self.heartbeat.beat()
            try:
                state = self._made(job)
            except Exception:
                log.exception("a job ended in a way that nobody foresaw", extra={"job": job.id})
                job.error = Problem("internal", "the service made a mistake, which its log has").to_json()
                state = "failed"
            self.job = ""
            self.heartbeat.rest()
            self._jobs.end(job, state)

    def _made(self, job: Job) -> JobState:
        engine = self._engines[job.request.profile]
        observers, seal = self._observers(job), self._sealing.ready
        kept = self._files.place(job.owner, job.request.portrait)

        def portrait(profile: str, identity: str, file: Path, stages: Stages) -> Any:
            made = self.portrait(profile, identity, file, stages, kept)
            self._files.keep(engine, made, file, kept, job.owner)
            return made

        return run_job(job, engine, observers, portrait=portrait, seal=seal, beat=self.heartbeat.beat)


def check_engines(lanes: list[ClipLane], stall_s: float) -> list[str]:
    """Which lanes owe a sign of life for longer than `stall_s`, a word for each."""
    return [f"clip lane {lane.number}" for lane in lanes if lane.silent_s > stall_s]


def close_quietly(closing: Callable[[], None]) -> None:
    """Close what may be broken: the process ends anyway."""
    try:
        closing()
    except HpTrtError:
        log.exception("a lane could not be closed")
