"""A process that makes clips, one at a time, of jobs whose ids it is given."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

from engines.bundle import Bundle
from engines.errors import HpTrtError
from hp_trt.apps.scale import claims
from hp_trt.apps.scale.job_store import JobStore
from hp_trt.apps.scale.presence import Presence
from hp_trt.apps.service.clock import SteadyTime
from hp_trt.apps.service.config import ServiceConfig
from hp_trt.apps.service.engine import OpenEngine
from hp_trt.apps.service.job import Job, JobState
from hp_trt.apps.service.lanes import close_quietly
from hp_trt.apps.service.maker import ClipMaker
from hp_trt.apps.service.origin import Sealing
from hp_trt.apps.service.portrait_files import PortraitFiles
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.store import Accounts, Items, State
from hp_trt.apps.service.work import Observers
from hp_trt.shipped import bundle_folder

log = logging.getLogger("hp_trt.scale")
_LOOKS_EVERY_S = 0.1


class ClipReplica:
    """Made in the order in which it may fail. Raises BundleError, InputError, OutputError, EngineMismatch, OSError.

    `run` is for one thread at a time, the rest for any.
    """

    def __init__(self, config: ServiceConfig, open_engine: OpenEngine) -> None:
        self._config, now_s = config, SteadyTime()
        self.job = ""  # which it works on
        self._stop: Callable[[bool], None] = _nothing  # what it works on, to be gone on with elsewhere or not
        self._draining = False
        with ExitStack() as made:
            self.bundle = Bundle.open(bundle_folder(config.bundle), family="")
            sealing = Sealing(chain=config.sign_chain, key=config.sign_key)
            sealing.check()
            self._state = State(config.state, shared=True)
            made.callback(self._state.close)
            self._now_s, self._store = now_s, JobStore(self._state, now_s)
            portraits = Items(self._state, "portraits", "p", config.limits, now_s)
            files = PortraitFiles(portraits, Accounts(self._state, config.limits))
            self._maker = ClipMaker(open_engine, config.profiles, sealing=sealing, files=files)
            made.callback(close_quietly, self._maker.close)
            self.presence = Presence(self._state.path / "alive", "clips")
            made.pop_all()
        self._unsaved: list[tuple[Job, JobState, claims.Claim]] = []
        self.presence.each(self._look)

    def run(self, owner: str, identity: str) -> None:
        """Work on a job, where it waits and nobody does. Over when it has ended, or waits again: its record says which.

        What goes wrong with the job itself is in its record. Raises OSError where the folder is away.
        """
        turn = None if self._draining else claims.claim(self._store.folder(owner, identity), self.presence)
        if turn is None:
            return
        try:
            job = self._store.read(owner, identity)
            if job.state != "queued":  # called off, or made: this was an echo
                return
            job.attempts += 1
            job.started_s = self._now_s()
            self._store.to(job, "running")
            state = self._made(job, turn)
            if not turn.holds():
                log.error("a job was taken over by another process", extra={"job": identity})
                return
            if state == "queued":
                job.attempts -= 1  # it ended in order, and will be gone on with
            if not self._settled(job, state):
                self._unsaved.append((job, state, turn))
                turn = None
        except FileNotFoundError:
            log.warning("a job was forgotten while it was worked on", extra={"job": identity})
        finally:
            if turn is not None:
                turn.end()

    def drain(self, within_s: float = 0) -> None:
        """Nothing new begins. What runs has `within_s` to end, then it stops before its next piece of work and waits
        for another process."""
        self._draining = True
        until_s = time.monotonic() + within_s
        while self.job and time.monotonic() < until_s:
            time.sleep(_LOOKS_EVERY_S)
        self._stop(True)

    def check(self) -> None:
        """Raises RuntimeError where it hangs: a new process is needed."""
        self._maker.check(self._config.stall_s)

    def close(self) -> None:
        self.drain()
        self.presence.close()
        close_quietly(self._maker.close)
        self._state.close()

    def _made(self, job: Job, turn: claims.Claim) -> JobState:
        def stop(requeue: bool) -> None:
            job.requeue = requeue
            job.cancel.set()

        self._folder = turn.folder
        self.job, self._stop = job.id, stop
        if self._draining:  # it was told in between
            stop(True)
        try:
            return self._maker.make(job, Observers())
        except Exception:
            log.exception("a job ended in a way that nobody foresaw", extra={"job": job.id})
            job.error = Problem("internal", "the service made a mistake, which its log has").to_json()
            return "failed"
        finally:
            self.job, self._stop = "", _nothing

    def _settled(self, job: Job, state: JobState) -> bool:
        """Whether the disk took it."""
        try:
            self._store.to(job, state)
            return True
        except FileNotFoundError:
            raise
        except (OSError, HpTrtError) as error:
            log.error("a job's record cannot be written", extra={"job": job.id, "reason": str(error)[:200]})
            return False

    def _look(self) -> None:
        """Every second: was the job called off, and does the disk take what it refused?"""
        if self.job and claims.is_asked_to_stop(self._folder):
            self._stop(False)
        for unsaved in list(self._unsaved):
            job, state, turn = unsaved
            with suppress(FileNotFoundError):
                if turn.holds() and not self._settled(job, state):
                    continue
            self._unsaved.remove(unsaved)
            turn.end()


def _nothing(_requeue: bool) -> None:
    """It works on nothing."""
