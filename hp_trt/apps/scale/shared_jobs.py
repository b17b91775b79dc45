"""The jobs of a front: any number of processes answer for the same ones, and none keeps them in memory.

Whoever makes a job is the one that hands it on (`hp_trt.apps.scale.dispatch`); its name is in the job's `front`.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import statistics
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engines.errors import HpTrtError
from engines.part_file import whole_folder, write_whole
from hp_trt.apps.scale import claims
from hp_trt.apps.scale.file_events import FileEvents
from hp_trt.apps.scale.job_store import EVENTS, JobStore
from hp_trt.apps.scale.presence import Presence
from hp_trt.apps.service.cluster import Told
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.job import ENDED, RECORD, Job, JobState, Wish
from hp_trt.apps.service.jobs import tell
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.store import Accounts, State, is_id

log = logging.getLogger("hp_trt.scale")
FRONT = "front"
_RETRY_S = 15.0
_SPEEDS = 20  # clips of a profile whose speed is remembered
_UNMADE_S = 600.0  # whoever was killed while it made a job, or uploaded to it, has left it for so long
_NUMBERS_A_MS = 100


class SharedJobs:
    """A `hp_trt.apps.service.cluster.JobQueue`. For any thread.

    `wake`: called when there is a job to be handed on.
    """

    def __init__(
        self,
        state: State,
        limits: Limits,
        now_s: Callable[[], float],
        told: Told,
        *,
        presence: Presence,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._state, self._limits, self._now_s, self._told, self._presence = state, limits, now_s, told, presence
        self._wake = wake
        self._released = threading.Event()
        self.store = JobStore(state, now_s, released=self._released)
        self._frames_per_s: dict[str, deque[float]] = {}
        self.draining = False

    def create(self, wish: Wish, accounts: Accounts) -> tuple[Job, bool]:
        """See `hp_trt.apps.service.jobs.Jobs`. Of two requests with one key that come to two processes at once one
        makes a job, and both are answered with it. Raises Problem, OSError."""
        if (known := self.known(wish.owner, wish.key, wish.body)) is not None:
            return known, False
        self._check_quota(wish.owner)
        accounts.check(wish.owner, 0)
        identity = f"j_{secrets.token_hex(16)}"
        self.store.opened(wish.owner, identity)
        try:
            job = self._made(identity, wish)
            first = not wish.key or self._keep_key(wish.owner, wish.key, identity)
        except BaseException:
            self.store.closed(identity)
            raise
        if not first:  # another process made one with this key meanwhile
            self._forget(job)
            if (known := self.known(wish.owner, wish.key, wish.body)) is not None:
                return known, False
            raise Problem("key-under-way", "a request with this key is under way; ask again", retry_after_s=1)
        tell(job)
        self._told("queued", None)
        self._wake()
        return job, True

    def known(self, owner: str, key: str, body: str) -> Job | None:
        """The job that a request with this key made, if one did. Raises Problem where that was another request."""
        if not key:
            return None
        try:
            job = self.store.read(owner, self._key_file(owner, key).read_text())
        except (OSError, ValueError):
            return None
        if self._now_s() - job.created_s > self._limits.idempotency_s:
            return None
        if job.body != body:
            raise Problem("key-reused", "this Idempotency-Key came with another request before; take a new key")
        return job

    def get(self, owner: str, identity: str) -> Job:
        """Raises Problem where this owner has no such job."""
        if is_id(identity, "j"):
            with suppress(OSError, ValueError):
                return self.store.read(owner, identity)
        raise Problem("not-found", "there is no job with this id; it may have been forgotten")

    def listed(self, owner: str, *, state: JobState | None, most: int, before: int | None) -> list[Job]:
        """The newest first; `before`: only those whose number is smaller."""
        own = [job for job in self.store.of_owner(owner) if state in (None, job.state)]
        own = [job for job in own if before is None or job.number < before]
        return sorted(own, key=lambda job: -job.number)[:most]

    def cancel(self, owner: str, identity: str) -> Job:
        """Call a job off: at once where nobody works on it, before its next piece of work else. Raises Problem,
        OSError, OutputError."""
        job = self.get(owner, identity)
        if job.state in ENDED:
            return job
        turn = claims.claim(job.folder, self._presence)
        if turn is None:
            claims.ask_to_stop(job.folder)
            return self.get(owner, identity)
        try:
            job = self.get(owner, identity)
            if job.state not in ENDED:
                self.store.to(job, "cancelled")
                self._told("cancelled", None)
        finally:
            turn.end()
        return job

    def ended(self, job: Job) -> None:
        """A job that this process handed on has ended, elsewhere."""
        self._told(job.state, None)
        made, asked = job.result or {}, job.request
        timed = asked.steps is None and made.get("seconds", 0) > 0
        if job.state == "done" and asked.profile is not None and timed:
            known = self._frames_per_s.setdefault(asked.profile, deque(maxlen=_SPEEDS))
            known.append(made["frames"] / made["seconds"])

    def frames_per_s(self, profile: str) -> float | None:
        """The median of the last clips of a profile that this process handed on; None before the first."""
        known = self._frames_per_s.get(profile)
        return None if not known else round(statistics.median(known), 3)

    def counts(self, owner: str) -> dict[str, int]:
        """How many jobs of an owner are in each state."""
        states = [job.state for job in self.store.of_owner(owner)]
        return {state: states.count(state) for state in dict.fromkeys(states)}

    def drain(self) -> None:
        """Nothing is handed on from now on; whoever listens is let go, to listen at another process."""
        self.draining = True
        self._released.set()

    def requeue_running(self) -> None:
        """Nothing is to be done: what runs, runs elsewhere."""

    def end_events(self) -> None:
        self._released.set()

    def tidy(self) -> None:
        """Expire results, forget old jobs, and what killed processes left. One process of all does it."""
        if not self._presence.is_first():
            return
        for owner in self.store.owners():
            jobs = list(self.store.of_owner(owner))
            for job in jobs:
                self._tidy(job)
            ended = sorted((job for job in jobs if job.state in ENDED), key=lambda job: job.number)
            for job in ended[: max(0, len(jobs) - self._limits.kept_items_per_token)]:
                self._forget(job)
        self._sweep()

    def _tidy(self, job: Job) -> None:
        age_s = self._now_s() - (job.ended_s or self._now_s())
        try:
            if job.state == "done" and age_s > self._limits.result_s:
                self.store.to(job, "expired")
            elif job.state in ENDED and age_s > self._limits.record_s:
                self._forget(job)
        except (OSError, HpTrtError):
            log.exception("a job cannot be tidied", extra={"job": job.id})

    def _sweep(self) -> None:
        """Entries of jobs that were never whole, uploads that nobody finished, and tickets that nobody remembers."""
        now_s = _folder_time_s(self._state.path)
        for entry in os.scandir(self._state.path / "open"):
            with suppress(OSError):
                known = self.store.folder(Path(entry.path).read_text(), entry.name).is_dir()
                if not known and now_s - entry.stat().st_mtime > _UNMADE_S:
                    os.unlink(entry.path)
        for entry in os.scandir(self._state.incoming):
            with suppress(OSError):
                if now_s - entry.stat().st_mtime > max(_UNMADE_S, self._limits.look_s + self._limits.body_idle_s):
                    shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)

    def _check_quota(self, owner: str) -> None:
        if self.draining:
            raise Problem("draining", "the service is ending; try again in a while", retry_after_s=_RETRY_S)
        waiting = [job.owner for job in self.store.open_jobs() if job.state == "queued"]
        most = self._limits.waiting_per_token
        if waiting.count(owner) >= most:
            raise Problem("quota", f"{most} jobs of this token are waiting already", retry_after_s=_RETRY_S)
        if len(waiting) >= self._limits.waiting:
            raise Problem("busy", "the queue of the service is full; try again", retry_after_s=_RETRY_S)

    def _made(self, identity: str, wish: Wish) -> Job:
        now_s = self._now_s()
        folder = self._state.folder(wish.owner, "jobs") / identity
        job = Job(
            id=identity,
            owner=wish.owner,
            folder=folder,
            request=wish.request,
            number=int(now_s * 1000) * _NUMBERS_A_MS + secrets.randbelow(_NUMBERS_A_MS),
            created_s=now_s,
            frames=wish.frames,
            key=wish.key,
            body=wish.body,
            events=FileEvents(folder / EVENTS, identity[2:10], released=self._released),
        )
        if wish.mark_id is not None:
            job.mark_id = wish.mark_id
        with whole_folder(folder) as hidden:
            wish.link(hidden)
            (hidden / FRONT).write_text(self._presence.name)
            write_whole(hidden / RECORD, job.to_record())
        return job

    def _key_file(self, owner: str, key: str) -> Path:
        return self._state.owners / owner / "keys" / key

    def _keep_key(self, owner: str, key: str, identity: str) -> bool:
        """Whether no other process made a job with this key that is remembered still."""
        place = self._state.folder(owner, "keys") / key
        hidden = self._state.new_file()
        hidden.write_text(identity)
        try:
            os.link(hidden, place)
            return True
        except FileExistsError:
            try:
                before = self.store.read(owner, place.read_text())
                if self._now_s() - before.created_s <= self._limits.idempotency_s:
                    return False
            except (OSError, ValueError):  # its job was forgotten
                pass
            os.replace(hidden, place)
            return True
        finally:
            hidden.unlink(missing_ok=True)

    def _forget(self, job: Job) -> None:
        away = self._state.new_file()
        with suppress(OSError):
            if job.key and (place := self._key_file(job.owner, job.key)).read_text() == job.id:
                place.unlink()
        with suppress(OSError):
            os.rename(job.folder, away)
        shutil.rmtree(away, ignore_errors=True)
        with suppress(OSError):
            self.store.closed(job.id)


def _folder_time_s(folder: Path) -> float:
    """Now, by the clock of the folder: that of this machine may be another."""
    probe = folder / f".now.{secrets.token_hex(8)}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
