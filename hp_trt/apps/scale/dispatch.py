"""How jobs come to those who make clips: a front hands each of its own on, and takes those of fronts that died.

Whom a job goes to, and when, is Ray's to say: it has one queue for all. A front hands on no more jobs of a token at a
time than may run (`limits.running_per_token`), the oldest first, so one token's jobs do not hold up another's. Handing
a job on twice does no harm: it is worked on in one turn at a time (`hp_trt.apps.scale.claims`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from engines.errors import HpTrtError
from engines.part_file import write_whole
from hp_trt.apps.scale import claims
from hp_trt.apps.scale.presence import Presence
from hp_trt.apps.scale.shared_jobs import FRONT, SharedJobs
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.job import ENDED, Job

log = logging.getLogger("hp_trt.scale")
_LOOKS_EVERY_S = 1.0
_AGAIN_S = 2.0  # until what was lost, or came back, is handed on again
Send = Callable[
    [str, str], Awaitable[None]
]  # an owner and a job; over when the job's turn is, raises when that is lost


class Dispatcher:
    """Made and run in the event loop's thread; `wake` is for any."""

    def __init__(self, jobs: SharedJobs, limits: Limits, presence: Presence, send: Send) -> None:
        self._jobs, self._limits, self._presence, self._send = jobs, limits, presence, send
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._sent: dict[str, str] = {}  # job -> owner, of those that are handed on
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """There may be something to hand on."""
        self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self) -> None:
        """Until it is cancelled, or the front drains: what is handed on goes on without it."""
        while not self._jobs.draining:
            try:
                for job in await asyncio.to_thread(self._waiting):
                    self._hand_on(job)
            except (OSError, HpTrtError):
                log.exception("the jobs cannot be looked at")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _LOOKS_EVERY_S)
            self._woken.clear()

    def _waiting(self) -> list[Job]:
        """What this front has to hand on, the oldest first; jobs of processes that died are queued again."""
        found = []
        for job in self._jobs.store.open_jobs():
            try:
                if job.state in ENDED:  # whoever ended it was killed right then
                    self._jobs.store.closed(job.id)
                elif job.state == "running":
                    if claims.is_left(job.folder, self._presence) and self._queue_again(job):
                        found.append(job)
                elif self._is_own(job):
                    found.append(job)
            except (OSError, HpTrtError):
                log.exception("a job cannot be looked at", extra={"job": job.id})
        return sorted((job for job in found if job.state == "queued"), key=lambda job: job.number)

    def _queue_again(self, job: Job) -> bool:
        """Of a job whose process died; whether it waits again, for this front. One front alone does it."""
        turn = claims.claim(job.folder, self._presence)
        if turn is None:
            return False
        try:
            now = self._jobs.store.read(job.owner, job.id)
            if now.state == "running":
                self._jobs.store.left(now)
                log.warning("a process died at a job", extra={"job": job.id, "state": now.state})
            job.state = now.state
        finally:
            turn.end()
        return self._is_own(job)

    def _is_own(self, job: Job) -> bool:
        """Whether this front hands it on: it made it, or whoever did is dead."""
        name = (job.folder / FRONT).read_text()
        if name == self._presence.name:
            return True
        if self._presence.lives(name):
            return False
        write_whole(job.folder / FRONT, self._presence.name.encode())
        return True

    def _hand_on(self, job: Job) -> None:
        if job.id in self._sent or list(self._sent.values()).count(job.owner) >= self._limits.running_per_token:
            return
        self._sent[job.id] = job.owner
        task = asyncio.create_task(self._wait(job.owner, job.id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait(self, owner: str, identity: str) -> None:
        ended = False
        try:
            await self._send(owner, identity)
            job = await asyncio.to_thread(self._jobs.store.read, owner, identity)
            if ended := job.state in ENDED:
                self._jobs.ended(job)
        except (OSError, ValueError) as error:
            log.warning("a job cannot be read", extra={"job": identity, "reason": str(error)[:300]})
        except Exception as error:  # the process died, or Ray has none: the job is found again when that is sure
            log.warning("a job's process is lost", extra={"job": identity, "reason": str(error)[:300]})
        if not ended:
            await asyncio.sleep(_AGAIN_S)
        del self._sent[identity]
        self._woken.set()
