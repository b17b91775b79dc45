"""All jobs: made, queued fairly, taken by lanes, ended, expired, and found again after a restart.

Whoever has used the lanes least lately has the next turn, with the oldest of its jobs: what a token used fades by half
every ten minutes, and half of what its oldest job has waited is taken from it. A job that was running when its process
was killed is queued once more; killed again it has failed. Every change is on the disk before it is told.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

from engines.errors import HpTrtError
from engines.part_file import whole_folder
from hp_trt.apps.service.clock import SteadyTime
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.events import JobEvents
from hp_trt.apps.service.job import (
    ENDED,
    KINDS,
    MOTION,
    PORTRAIT,
    RECORD,
    RESULT,
    VIDEO,
    WHOLE,
    Job,
    JobState,
    Kind,
    Wish,
)
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.store import Accounts, State, is_id
from hp_trt.apps.service.usage import Usage
from hp_trt.provenance.sidecar import beside

log = logging.getLogger("hp_trt.service")
MOST_ATTEMPTS = 2
_RETRY_S = 15.0
_SPEEDS = 20  # clips of a profile whose speed is remembered
_WAITING = 0.5  # of a second that was waited is taken from what was used: who used much is late, and never starves


class Jobs:
    """The jobs of one state folder. For any thread.

    `told`: hears of each state that a job comes to, and for how long it waited where it begins to run.
    """

    def __init__(
        self,
        state: State,
        limits: Limits,
        now_s: SteadyTime,
        *,
        told: Callable[[JobState, float | None], None],
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state, self._limits, self._now_s, self._told, self._steady_s = state, limits, now_s, told, steady_s
        self.life = secrets.token_hex(4)
        self.changed = threading.Condition(threading.RLock())
        self._jobs: dict[str, Job] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self._wishes: list[tuple[str, str]] = []  # whose requests are under way, with which keys
        self._unsaved: set[str] = set()
        self._usage = Usage(steady_s)
        self._number = self._found_number = 0
        self._frames_per_s: dict[str, deque[float]] = {}  # of profiles, of whole clips that this process made
        self.draining = False

    def load(self) -> None:
        """Find what earlier processes left. Raises OSError where the folder cannot be read."""
        with self.changed:
            self._load()
            self._found_number = self._number

    def _load(self) -> None:
        for folder in sorted(self._state.owners.glob("*/jobs/j_*")):
            try:
                job = Job.read(folder, folder.parent.parent.name, self.life)
            except (OSError, ValueError) as error:
                log.error("a job's record cannot be read", extra={"job": folder.name, "reason": str(error)[:200]})
                continue
            self._number = max(self._number, job.number)
            self._jobs[job.id] = job
            if job.key:
                self._keys[job.owner, job.key] = job.id
            self._found(job)

    def _found(self, job: Job) -> None:
        for name in ("created_s", "started_s", "ended_s"):
            if getattr(job, name) is not None:
                setattr(job, name, self._now_s.past(getattr(job, name)))
        job.queued_s = self._steady_s()
        if job.state == "running" and job.attempts >= MOST_ATTEMPTS:
            text = f"the service was ended {job.attempts} times while it worked on this, and does not try again"
            job.error = Problem("interrupted", text).to_json()
            self._to(job, "failed")
        elif job.state == "running":
            self._to(job, "queued")
        else:
            tell(job)

    def create(self, wish: Wish, accounts: Accounts) -> tuple[Job, bool]:
        """A new job on the disk, and True; or the one that the same key and request made, and False.

        Raises Problem, OSError.
        """
        key = (wish.owner, wish.key)
        with self.changed:
            if (known := self.known(wish.owner, wish.key, wish.body)) is not None:
                return known, False
            if wish.key and key in self._wishes:
                raise Problem("key-under-way", "a request with this key is under way; ask again", retry_after_s=1)
            self._check_quota(wish.owner)
            self._wishes.append(key)
        try:
            accounts.check(wish.owner, 0)
            job = self._made(wish)
            with self.changed:
                self._jobs[job.id] = job
                if job.key:
                    self._keys[key] = job.id
                tell(job)
                self.changed.notify_all()
            return job, True
        finally:
            with self.changed:
                self._wishes.remove(key)

    def known(self, owner: str, key: str, body: str) -> Job | None:
        """The job that a request with this key made, if one did. Raises Problem where that was another request.

        `key`, `body`: as in `Wish`.
        """
        with self.changed:
            job = self._jobs.get(self._keys.get((owner, key), "")) if key else None
        if job is None or self._now_s() - job.created_s > self._limits.idempotency_s:
            return None
        if job.body != body:
            raise Problem("key-reused", "this Idempotency-Key came with another request before; take a new key")
        return job

    def _check_quota(self, owner: str) -> None:
        if self.draining:
            raise Problem("draining", "the service is ending; try again in a while", retry_after_s=_RETRY_S)
        waiting = [job.owner for job in self._jobs.values() if job.state == "queued"]
        waiting += [owner for owner, _ in self._wishes]
        most = self._limits.waiting_per_token
        if waiting.count(owner) >= most:
            raise Problem("quota", f"{most} jobs of this token are waiting already", retry_after_s=_RETRY_S)
        if len(waiting) >= self._limits.waiting:
            raise Problem("busy", "the queue of the service is full; try again", retry_after_s=_RETRY_S)

    def _made(self, wish: Wish) -> Job:
        with self.changed:
            self._number += 1
            number = self._number
        folder = self._state.folder(wish.owner, "jobs") / f"j_{secrets.token_hex(16)}"
        job = Job(
            id=folder.name,
            owner=wish.owner,
            folder=folder,
            request=wish.request,
            number=number,
            created_s=self._now_s(),
            frames=wish.frames,
            key=wish.key,
            body=wish.body,
            events=JobEvents(self.life),
            queued_s=self._steady_s(),
        )
        if wish.mark_id is not None:
            job.mark_id = wish.mark_id
        with whole_folder(folder) as hidden:
            wish.link(hidden)
            (hidden / RECORD).write_bytes(job.to_record())
            _sync(hidden / RECORD)
        return job

    def get(self, owner: str, identity: str) -> Job:
        """Raises Problem where this owner has no such job."""
        with self.changed:
            job = self._jobs.get(identity) if is_id(identity, "j") else None
        if job is None or job.owner != owner:
            raise Problem("not-found", "there is no job with this id; it may have been forgotten")
        return job

    def listed(self, owner: str, *, state: JobState | None, most: int, before: int | None) -> list[Job]:
        """The newest first; `before`: only those whose number is smaller."""
        with self.changed:
            own = [job for job in self._jobs.values() if job.owner == owner and state in (None, job.state)]
        own = [job for job in own if before is None or job.number < before]
        return sorted(own, key=lambda job: -job.number)[:most]

    def cancel(self, owner: str, identity: str) -> Job:
        """Call a job off: at once where it waits, before its next piece of work where it runs. Raises Problem."""
        job = self.get(owner, identity)
        with self.changed:
            if job.state == "queued":
                self._to(job, "cancelled")
            elif job.state == "running":
                job.requeue = False
                job.cancel.set()
        return job

    def take(self, wait_s: float, kinds: Collection[Kind] = KINDS) -> Job | None:
        """The next job of these kinds, which is running then; None when there is none in time."""
        with self.changed:
            job = self._next(kinds)
            if job is None:
                self.changed.wait(wait_s)
                job = self._next(kinds)
            if job is None:
                return None
            job.attempts += 1
            job.started_s = self._now_s()
            self._usage.begin(job.owner)
            self._to(job, "running", waited_s=self._steady_s() - job.queued_s)
            return job

    def _next(self, kinds: Collection[Kind] = KINDS) -> Job | None:
        if self.draining:
            return None
        running: dict[str, int] = {}
        for job in self._jobs.values():
            if job.state == "running":
                running[job.owner] = running.get(job.owner, 0) + 1
        most = self._limits.running_per_token
        waiting = [job for job in self._jobs.values() if job.state == "queued" and job.request.kind in kinds]
        ready = [job for job in waiting if running.get(job.owner, 0) < most]
        now_s, due = self._steady_s(), {}
        for owner in {job.owner for job in ready}:  # once for each: what was used fades meanwhile
            since_s = min(job.queued_s for job in ready if job.owner == owner)
            due[owner] = self._usage.of(owner) - _WAITING * (now_s - since_s)
        return min(ready, key=lambda job: (due[job.owner], job.number), default=None)

    def end(self, job: Job, state: JobState) -> None:
        """A running job has come to its end, or is queued again; its `result` or `error` is set."""
        with self.changed:
            self._usage.end(job.owner)
            if state == "queued":
                job.attempts -= 1  # it ended in order, and will be gone on with
                job.cancel.clear()
                job.requeue = False
            if state == "done" and job.number > self._found_number:  # others may have been begun before
                self._note_speed(job)
            self._to(job, state)

    def _note_speed(self, job: Job) -> None:
        made, asked = job.result or {}, job.request
        if asked.profile is not None and asked.steps is None and made.get("seconds", 0) > 0:
            known = self._frames_per_s.setdefault(asked.profile, deque(maxlen=_SPEEDS))
            known.append(made["frames"] / made["seconds"])

    def frames_per_s(self, profile: str) -> float | None:
        """The median of the last clips of a profile that this process made; None before the first."""
        with self.changed:
            known = self._frames_per_s.get(profile)
            return None if not known else round(statistics.median(known), 3)

    def drain(self) -> None:
        """No job begins from now on."""
        with self.changed:
            self.draining = True
            self.changed.notify_all()

    def requeue_running(self) -> None:
        """Running jobs end before their next piece of work, and wait for the next process."""
        with self.changed:
            for job in self._jobs.values():
                if job.state == "running" and not job.cancel.is_set():
                    job.requeue = True
                    job.cancel.set()

    def end_events(self) -> None:
        """Whoever listens is let go."""
        with self.changed:
            for job in self._jobs.values():
                job.events.end()

    def counts(self, owner: str) -> dict[str, int]:
        """How many jobs of an owner are in each state."""
        with self.changed:
            states = [job.state for job in self._jobs.values() if job.owner == owner]
        return {state: states.count(state) for state in dict.fromkeys(states)}

    def tidy(self) -> None:
        """Expire results, forget old jobs, and save again what a full disk refused."""
        with self.changed:
            for job in list(self._jobs.values()):
                age_s = self._now_s() - (job.ended_s or self._now_s())
                if job.state == "done" and age_s > self._limits.result_s:
                    self._to(job, "expired")
                elif job.state in ENDED and age_s > self._limits.record_s:
                    self._forget(job)
            for job in list(self._too_many()):
                self._forget(job)
            for identity in list(self._unsaved):
                if (job_now := self._jobs.get(identity)) is not None:
                    self._save(job_now)

    def _too_many(self) -> Iterator[Job]:
        by_owner: dict[str, list[Job]] = {}
        for job in self._jobs.values():
            by_owner.setdefault(job.owner, []).append(job)
        for jobs in by_owner.values():
            ended = sorted((job for job in jobs if job.state in ENDED), key=lambda job: job.number)
            yield from ended[: max(0, len(jobs) - self._limits.kept_items_per_token)]

    def _forget(self, job: Job) -> None:
        del self._jobs[job.id]
        self._keys.pop((job.owner, job.key), None)
        self._unsaved.discard(job.id)
        job.events.end()
        away = self._state.new_file()
        with suppress(OSError):
            os.rename(job.folder, away)
        shutil.rmtree(away, ignore_errors=True)

    def _to(self, job: Job, state: JobState, *, waited_s: float | None = None) -> None:
        job.state = state
        if state == "queued":
            job.queued_s, job.started_s = self._steady_s(), None
        elif state in ENDED and job.ended_s is None:
            job.ended_s = self._now_s()
        self._save(job)
        if state in ENDED:
            remove_work(job.folder, with_result=state != "done")
        self._told(state, waited_s)
        tell(job)
        self.changed.notify_all()

    def _save(self, job: Job) -> None:
        """A disk that refuses is tried again: until then a kill would make the job run again, which is no loss."""
        try:
            job.save()
            self._unsaved.discard(job.id)
        except (OSError, HpTrtError) as error:
            self._unsaved.add(job.id)
            log.error("a job's record cannot be written", extra={"job": job.id, "reason": str(error)[:200]})


def tell(job: Job) -> None:
    """Add a job's state to its events, with what it came to."""
    job.events.begin_again()
    job.events.add("state", state=job.state, attempts=job.attempts)
    if job.result is not None and job.state == "done":
        job.events.add("result", **job.result)
    if job.error is not None:
        job.events.add("error", **job.error)
    if job.state in ENDED:
        job.events.end()


def remove_work(folder: Path, *, with_result: bool) -> None:
    """What an ended job needs no more."""
    sealed = (WHOLE, RESULT) if with_result else (WHOLE,)
    for path in (folder / name for name in (PORTRAIT, MOTION, VIDEO, *sealed)):
        for name in (path, beside(path)):
            with suppress(OSError):
                name.unlink()
    for left in folder.glob("*.resume"):
        shutil.rmtree(left, ignore_errors=True)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
