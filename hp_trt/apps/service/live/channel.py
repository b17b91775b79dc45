"""One live session between a network and an engine.

    socket, WebRTC, WHIP -> take_picture, take_sound -> Feeding -> session -> Pulling -> Playout -> outboxes of viewers

What comes is bounded by credit and by the feed's queue, what goes by each viewer's outbox. It is shown at the driver's
pace, as late as its latest frames were. For the event loop's thread alone; what takes time is done in threads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import numpy as np

from engines.errors import HpTrtError, InputError
from hp_trt.apps.service.live.beside import beside
from hp_trt.apps.service.live.engine import Engine, Wishes
from hp_trt.apps.service.live.feeding import Decode, Feeding
from hp_trt.apps.service.live.health import Health
from hp_trt.apps.service.live.limits import LiveLimits
from hp_trt.apps.service.live.outbox import Outbox
from hp_trt.apps.service.live.pictures import jpeg_of
from hp_trt.apps.service.live.protocol import Changed, Error, Note, Ready, ServerMessage, Stats, slug_of
from hp_trt.apps.service.live.pulling import Pulling
from hp_trt.apps.service.live.showing import Showing
from hp_trt.apps.service.live.shown import Shown
from hp_trt.apps.service.live.times import DriverTimes
from hp_trt.apps.service.live.watch import End, Watch
from hp_trt.apps.service.problems import without_paths
from hp_trt.live.session import LiveFrame, LiveSession, LiveStats
from hp_trt.media.portrait import Picture, Portrait

log = logging.getLogger("hp_trt.service")
_TICK_S = 0.05
_STATS_S = 1.0
_MOST_NOTES = 20

Find = Callable[[], Portrait | Picture]  # in a thread; raises HpTrtError
Meter = Callable[[str, float, str], None]  # a metric's name, a value, and where


class Control(Protocol):
    """The connection that a session is told things on."""

    outbox: Outbox[ServerMessage]

    def leave(self, end: End) -> None:
        """The session has ended, or goes on with another connection."""

    def credit(self, room: int) -> None:
        """So many more pictures fit."""


class LiveChannel:
    """Made by `LiveSessions`. `closed` is set once nothing of it runs any more."""

    def __init__(
        self, *, session: str, caller: str, engine: Engine, wishes: Wishes, limits: LiveLimits, meter: Meter
    ) -> None:
        self.id, self.caller, self.engine, self.limits = session, caller, engine, limits
        self.end: End | None = None
        self.closed = asyncio.Event()
        self._wishes, self._meter = wishes, meter
        self._session: LiveSession | None = None
        self._feeding: Feeding | None = None
        self._pulling: Pulling | None = None
        self._size: tuple[int, int] | None = None
        self._control: Control | None = None
        self._greeted: Control | None = None  # that it was told what there is to know
        self._peers: set[Callable[[End], None]] = set()  # what else keeps it alive
        self._watch = Watch(limits, begun_s=time.monotonic(), faces=engine.driver == "video")
        self.health = Health(limits)
        self._times = DriverTimes(speaks=engine.driver == "audio", sound_s=limits.sound_s)
        self._showing = Showing(self._shown)
        self._dropped = {"uncredited": 0, "damaged": 0, "rate": 0}
        self._taken = 0
        self._noted: set[str] = set()
        self._find: Find | None = None
        self._tasks = [asyncio.create_task(self._tend())]

    # What connections do.

    def attach(self, control: Control) -> None:
        """From now on `control` is told; who was before leaves."""
        before, self._control = self._control, control
        if before is not None:
            self._showing.viewers.discard(before.outbox)
            before.leave(End(reason="taken-over", detail="the session goes on with another connection", code=4409))
        self._count()

    def greeted(self, control: Control) -> None:
        """It was told what there is to know, and is told that frames are taken, where they are."""
        self._greeted = control
        if self._size is not None:
            control.outbox.tell(Ready(size=self._size, resumed=True))

    def detach(self, control: Control) -> None:
        """Its connection is gone. The session waits a moment for another."""
        self._showing.viewers.discard(control.outbox)
        if self._control is control:
            self._control = None
        self._count()

    def join(self, leave: Callable[[End], None]) -> None:
        """Something else keeps the session alive, and is called when it ends."""
        self._peers.add(leave)
        self._count()

    def part(self, leave: Callable[[End], None]) -> None:
        self._peers.discard(leave)
        self._count()

    def watch(self, outbox: Outbox[Any]) -> None:
        """Pictures go there from now on."""
        self._showing.viewers.add(outbox)

    def unwatch(self, outbox: Outbox[Any]) -> None:
        self._showing.viewers.discard(outbox)

    @property
    def open(self) -> bool:
        """Whether frames are taken."""
        return self._feeding is not None and self.end is None

    @property
    def chosen(self) -> bool:
        """Whether a portrait was asked for."""
        return self._size is not None or self._find is not None

    @property
    def queue(self) -> int:
        """How many pictures wait for a viewer at most: as many as wait to be animated."""
        stats = self._session.stats if self._session else None
        return max(8, stats.room_in + stats.queued_in) if stats else 8

    def take_picture(self, decode: Decode, time_us: int, came_s: float | None = None) -> None:
        """A driving frame, which `decode` gives in a thread; `time_us`: its driver's. `came_s`: when it came, on the
        monotonic clock [now]."""
        if self._feeding is None or self.end is not None or self.engine.driver != "video":
            self.uncredited()
            return
        self._watch.frame(time.monotonic())
        if not self.health.pace.admits(time_us / 1e6):
            self._dropped["rate"] += 1
            return
        self._taken += 1
        self._feeding.put(decode, self._times.picture(time_us, came_s))

    def take_sound(self, samples: np.ndarray, hz: int, time_us: int) -> None:
        """Samples (n,) int16 of a microphone: they move the portrait, or go back beside it."""
        if self._feeding is None or self.end is not None or not len(samples):
            return
        pts_s = self._times.sound(samples, hz, time_us)
        if pts_s is not None:
            self._watch.frame(time.monotonic())
            self._taken += 1
            self._feeding.put(lambda: (samples, hz), pts_s)

    def uncredited(self) -> None:
        """A picture came that nobody had asked for."""
        self._dropped["uncredited"] += 1

    def choose(self, find: Find) -> None:
        """Another portrait, or the first, which opens the session. Of several that wait the last is taken."""
        busy, self._find = self._find is not None, find
        self._watch.frame(time.monotonic())
        if not busy and self.end is None:
            self._task(self._change_portraits())

    def change_profile(self, profile: str) -> None:
        self._task(self._try(lambda session: session.change(profile=profile), "profile"))

    def reanchor(self) -> None:
        self._task(self._try(lambda session: session.reanchor(), "crop"))

    def tell(self, message: ServerMessage) -> None:
        """The client, where one is connected and knows what a message means."""
        if self._control is not None and self._control is self._greeted:
            self._control.outbox.tell(message)

    def finish(self, end: End) -> None:
        """End the session, for that reason. Twice is fine."""
        if self.end is not None:
            return
        self.end = end
        self._meter("ended", 1, end.reason)
        for where, count in self._dropped_so_far().items():
            self._meter("dropped", count, where)
        if self._control is not None:
            self._control.leave(end)
        for leave in tuple(self._peers):
            leave(end)
        self._task(self._close())

    # What happens in it.

    async def _change_portraits(self) -> None:
        try:
            while self._find is not None and self.end is None:
                find = self._find
                try:
                    await self._show(find)
                except HpTrtError as error:
                    self.tell(Error(slug=slug_of(error), detail=without_paths(str(error)), ends=False))
                if self._find is find:
                    self._find = None
        except BaseException:
            self.finish(_FAILED)
            raise
        finally:
            self._find = None

    async def _show(self, find: Find) -> None:
        session, engine, wishes = self._session, self.engine, self._wishes

        def work() -> tuple[LiveSession, tuple[int, int]]:
            portrait = find()
            height, width = (portrait.image if isinstance(portrait, Portrait) else np.asarray(portrait)).shape[:2]
            if max(height, width) > self.limits.portrait_px:
                raise InputError(
                    f"the portrait is {width} x {height} pixels, which is too large to send live; choose one of at "
                    f"most {self.limits.portrait_px}"
                )
            if session is None:
                return engine.open(portrait, wishes), (width, height)
            session.change(portrait=portrait)
            return session, (width, height)

        opened, size = await beside(work, thread="hp-trt live portrait")
        self._watch.frame(time.monotonic())
        if session is not None:
            self._size = size
            self.tell(Changed(what="portrait"))
        elif self.end is not None:
            await beside(opened.abort, thread="hp-trt live abort")
        else:
            self._begin(opened, size)

    def _begin(self, session: LiveSession, size: tuple[int, int]) -> None:
        stats = session.stats
        most = stats.room_in + stats.queued_in
        loop = asyncio.get_running_loop()

        def told(listener: Callable[[Any], None], error: BaseException) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(listener, error)

        feeding = Feeding(
            session, most=most, damaged=partial(told, self._damaged), failed=partial(told, self._engine_ended)
        )
        self._session, self._size = session, size
        self._feeding = feeding
        self._pulling = Pulling(session, make=self._make, came=self._came, ended=self._engine_ended, most=2 * most)
        self.tell(Ready(size=size, resumed=False))

    async def _try(self, change: Callable[[LiveSession], None], what: Any) -> None:
        """Something of a session that is open; what is wrong with it is told."""
        session = self._session
        try:
            if session is None:
                raise InputError("the session is not open yet; send a portrait first")
            await beside(lambda: change(session), thread="hp-trt live change")
            self.tell(Changed(what=what))
        except HpTrtError as error:
            self.tell(Error(slug=slug_of(error), detail=without_paths(str(error)), ends=False))
        except BaseException:
            self.finish(_FAILED)
            raise

    def _make(self, frame: LiveFrame) -> tuple[LiveFrame, np.ndarray, bytes | None]:
        """In the puller's thread."""
        picture = frame.full()
        jpeg = jpeg_of(picture, self.limits.jpeg_quality) if self._showing.jpeg_wanted else None
        return frame, picture, jpeg

    def _came(self, made: tuple[LiveFrame, np.ndarray, bytes | None]) -> None:
        frame, picture, jpeg = made
        time_us, arrived_s = self._times.of(frame)
        sound, sound_us, sound_hz = self._times.sound_of(frame) or (None, 0, 0)
        shown = Shown(
            picture=picture,
            jpeg=jpeg,
            sequence=frame.index,
            time_us=time_us,
            arrived_s=arrived_s,
            sound=sound,
            sound_us=sound_us,
            sound_hz=sound_hz,
        )
        self._showing.put(shown, pts_s=frame.pts_s, ready_s=frame.ready_s)

    def _shown(self, shown: Shown) -> None:
        self._meter("latency_s", shown.latency_us() / 1e6, "")
        if self._pulling is not None:
            self._pulling.shown()

    def _damaged(self, error: HpTrtError) -> None:
        self._dropped["damaged"] += 1
        if self.end is not None or self._feeding is None:
            return
        text = without_paths(str(error))
        if self._feeding.damaged_in_a_row > self.limits.damaged:
            self.finish(End(reason="damaged", detail=f"{self.limits.damaged} frames in a row: {text}", code=4400))
        elif text not in self._noted and len(self._noted) < _MOST_NOTES:
            self._noted.add(text)
            self.tell(Error(slug="damaged-frame", detail=text, ends=False))

    def _engine_ended(self, error: BaseException | None) -> None:
        if self.end is not None:
            return
        if isinstance(error, HpTrtError):
            self.finish(End(reason="engine", detail=without_paths(str(error)), code=1011))
        else:
            log.error("a live session failed", exc_info=error)
            self.finish(_FAILED)

    async def _tend(self) -> None:
        """Credit, pace, notes, and whether it should end."""
        told_s = time.monotonic()
        while self.end is None:
            await asyncio.sleep(_TICK_S)
            now_s = time.monotonic()
            stats = self._session.stats if self._session else None
            if self._control is not None and self._control.outbox.slow:
                end = End(reason="slow", detail="the client does not read what it is sent", code=1013)
                self._control.leave(end)
                self.detach(self._control)
            if self._session is None and self._find is not None:
                self._watch.opening(now_s)
            if (end_now := self._watch.look(now_s, stats)) is not None:
                self.finish(end_now)
                return
            if stats is None or self._feeding is None:
                continue
            if self._control is not None and self.engine.driver == "video":
                self._control.credit(stats.room_in - self._feeding.waiting)
            if rate := self.health.look(now_s, stats, paced=self.engine.driver == "video"):
                self.tell(rate)
            if now_s - told_s >= _STATS_S:
                told_s = now_s
                self.tell(self._stats(stats))
                self._note((self._watch.note, *stats.notes))

    def _stats(self, stats: LiveStats) -> Stats:
        dropped = self._dropped_so_far()
        return self.health.stats(stats, taken=self._taken, showing=self._showing, dropped=dropped)

    def _dropped_so_far(self) -> dict[str, int]:
        feed = 0 if self._feeding is None else self._feeding.dropped
        return self._dropped | {"feed": feed, "sound": self._times.sound_dropped, "reader": self._showing.dropped}

    def _note(self, texts: tuple[str, ...]) -> None:
        for text in texts:
            if text and text not in self._noted and len(self._noted) < _MOST_NOTES:
                self._noted.add(text)
                self.tell(Note(text=without_paths(text)))

    def _count(self) -> None:
        self._watch.connections((self._control is not None) + len(self._peers), time.monotonic())

    def _task(self, work: Any) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.create_task(work))

    async def _close(self) -> None:
        """End the threads. A session that is being opened ends itself."""
        self._showing.forget()
        session, feeding, pulling = self._session, self._feeding, self._pulling

        def close() -> None:
            if session is not None:
                session.abort()
            for thread in (feeding, pulling):
                if thread is not None:
                    thread.close()

        await beside(close, thread="hp-trt live close")
        while self._find is not None:  # a portrait is being looked at: that cannot be called off
            await asyncio.sleep(_TICK_S)
        self.closed.set()


_FAILED = End(reason="engine", detail="the engine failed; the service's log says how", code=1011)
