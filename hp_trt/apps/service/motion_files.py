"""Motion files of what was uploaded: one that came as such, or one that is made when it is first asked for, and kept.

They are made one at a time, by an engine that makes clips, beside these. Who asks waits for a while and is told to
ask again; what is made meanwhile is there then.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from engines.bundle import Bundle
from engines.errors import Cancelled, InputError
from hp_trt.apps.service.cluster import Encoder
from hp_trt.apps.service.inputs import MOTION_FILE, check_motion_file
from hp_trt.apps.service.problems import Problem, problem_of
from hp_trt.apps.service.store import Accounts, Item, Items, State

log = logging.getLogger("hp_trt.service")
SUFFIX = ".motion.safetensors"
_WAIT_S = 20.0  # for one that is made: less than what stands in front of a service waits
_MOST_WAITING = 8  # of all owners, one of each
_RETRY_S = 5


class MotionFiles:
    """Those of all owners, for the event loop's thread. `encoder`: who makes them."""

    def __init__(
        self,
        state: State,
        motions: Items,
        accounts: Accounts,
        encoder: Encoder,
        bundle: Bundle,
        profiles: Sequence[str],
    ) -> None:
        self._state, self._motions, self._accounts, self._encoder = state, motions, accounts, encoder
        self._bundle, self._profiles = bundle, profiles
        self._worker = ThreadPoolExecutor(1, "service-encode")
        self._making: dict[str, tuple[str, Future[Path]]] = {}  # owner -> which, and what it comes to
        self._cancel = threading.Event()

    async def of(self, owner: str, item: Item) -> Path:
        """The motion file of an upload. Raises Problem: not made yet, or that it cannot be."""
        if item.facts.get("kind") == MOTION_FILE:
            return self._motions.file(owner, item.id)
        identity, making = self._making.get(owner, ("", None))
        if making is None or identity != item.id:
            making = self._begin(owner, item)
        waited = asyncio.wrap_future(making)
        waited.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # whoever asked may be gone
        await asyncio.wait({waited}, timeout=_WAIT_S)
        if not waited.done():
            raise Problem("no-result", "the motion is being encoded; ask again in some seconds")
        if self._making.get(owner, ("", None))[1] is making:  # what it came to is told once
            del self._making[owner]
        return waited.result()

    def _begin(self, owner: str, item: Item) -> Future[Path]:
        """Raises Problem where too many are under way."""
        making = self._making.get(owner, ("", None))[1]
        if making is not None and not making.done():
            raise Problem("busy", "another motion of yours is being encoded; ask again then", retry_after_s=_RETRY_S)
        if sum(not one.done() for _, one in self._making.values()) >= _MOST_WAITING:
            raise Problem("busy", "too many motions wait to be encoded; ask again later", retry_after_s=_RETRY_S)
        begun = self._worker.submit(self._made, owner, item)
        self._making[owner] = item.id, begun
        return begun

    def close(self, wait_s: float) -> None:
        """Call off what is made, and wait so long for it to end."""
        self._cancel.set()
        self._worker.shutdown(wait=False, cancel_futures=True)
        for _, making in list(self._making.values()):
            with suppress(Exception):
                making.exception(wait_s)

    def _made(self, owner: str, item: Item) -> Path:
        """In the worker's thread. Raises Problem."""
        source, kept = self._motions.file(owner, item.id), self._motions.encoded(owner, item.id)
        new = self._state.new_file().with_suffix(SUFFIX)
        try:
            if self._fits(kept):
                return kept
            frames = item.facts.get("frames")
            self._accounts.check(owner, (frames if isinstance(frames, int) else 0) * self._encoder.motion_bytes)
            self._encoder.write_motion(self._profiles[0], source, new, self._cancel)
            self._accounts.check(owner, new.stat().st_size)
            return self._motions.keep_encoded(owner, item.id, new)
        except Cancelled:
            raise Problem("draining", "the service is ending; try again in a while", retry_after_s=15) from None
        except Exception as error:
            problem = problem_of(error, {source: "the motion", new: "the motion file"})
            if problem.slug == "internal":
                log.exception("a motion could not be encoded")
            raise problem from error
        finally:
            new.unlink(missing_ok=True)

    def _fits(self, kept: Path) -> bool:
        """Whether there is one, and it is of this bundle: the folder may have been another one's."""
        if not kept.is_file():
            return False
        try:
            check_motion_file(kept, self._bundle, self._profiles)
        except InputError:
            kept.unlink(missing_ok=True)
            return False
        return True
