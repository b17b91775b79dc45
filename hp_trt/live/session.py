"""A live session: driving frames go in as they come, animated frames come out, and everything between runs beside it.

    push -> [in] -> see: crop, motion -> [1] -> denoise: a window -> [1] -> decode: frames -> [out] -> pull

Three threads, one a stage, with bounded queues between them: while a window is denoised, the one before is decoded and
the next one's frames are cropped. Where graphs do not run from several threads at once, their stages take turns at
them. On TensorRT a turn is only queueing: stages wait outside of it for what was queued, and streams overlap.

What is late is decided at the two ends, by the policy: a frame waits there, or is dropped and counted. Frames between
them are at most a window in each stage, so latency is bounded by the queues, never by how long a session has run.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from engines.backend import Buffer
from engines.errors import InputError
from hp_trt.interface import arguments
from hp_trt.live.lost_look import LostLook
from hp_trt.live.queues import BoundedQueue, Ended, Policy
from hp_trt.live.stream import Stream
from hp_trt.media.portrait import Picture, Portrait
from hp_trt.profiles import Profile
from runtime.stages import Stages

_LATEST = 600  # frames that latencies are told of
_RATE_S = 5.0  # over which the frames a second are counted


@dataclass(frozen=True, kw_only=True)
class LiveFrame:
    """One animated frame."""

    index: int  # counts what has come out, from 0
    pts_s: Fraction  # of its driving frame, as it was pushed
    crop: np.ndarray  # (S, S, 3) uint8 RGB: the square that the networks made; yours to keep
    latency_s: float  # glass to glass: from the push of its driving frame until it could be pulled
    ready_s: float  # when that was, on the monotonic clock: a window's frames are ready one soon after the other
    sound: np.ndarray | None = None  # of a portrait that speaks: (n,) float32 in [-1, 1] at 16 kHz, a 25th of a second
    _paste: Callable[[np.ndarray], np.ndarray] = field(repr=False)

    def full(self) -> np.ndarray:
        """The whole portrait with this frame in its place: (H, W, 3) uint8 RGB, made on each call."""
        return self._paste(self.crop)


@dataclass(frozen=True, kw_only=True)
class LiveStats:
    """How a session is doing."""

    pushed: int
    emitted: int
    dropped_in: int  # driving frames that the session was too slow for
    dropped_out: int  # finished frames that nobody took in time
    held: int  # frames without a face, which show the face before
    faceless: int  # frames before the first face, of which nothing can be made
    queued_in: int
    room_in: int  # driving frames that may be pushed before one waits or is dropped
    queued_out: int
    frames_per_s: float  # over the last seconds
    latency_p50_s: float | None  # of the latest frames; None before the first
    latency_p99_s: float | None
    late: bool  # the input queue is full: frames come faster than they are animated
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Driving:
    """A driving frame on its way."""

    index: int  # of the driving frames
    item: Any  # a picture (H, W, 3) uint8 RGB, or a frame's samples
    pts_s: Fraction
    taken_s: float  # on the monotonic clock


@dataclass(kw_only=True)
class _Group:
    """The frames of a window that are seen together."""

    stream: Stream
    portrait: Portrait
    wanted: int
    seen: list[Any] = field(default_factory=list)
    pts_s: list[Fraction] = field(default_factory=list)
    taken_s: list[float] = field(default_factory=list)
    sound: list[np.ndarray | None] = field(default_factory=list)
    tokens: Buffer | None = None  # then
    latents: Buffer | None = None  # then


class Opener(Protocol):
    """What opens what `LiveSession.change` asks for. Graphs of the session may run meanwhile where the stream is
    concurrent; elsewhere none does."""

    def portrait(self, portrait: Portrait | Picture) -> Portrait:
        """The portrait itself, or that of a picture, encoded. Raises InputError for one of another model."""

    def stream(self, portrait: Portrait, profile: Profile | str, after: Stream) -> Stream:
        """Another stream, which sees on where `after` has seen."""


class LiveSession:
    """Made by `Runtime.live`; a context manager, for use from any thread. Leaving it aborts: see `close` for the rest.

    `stream` animates `portrait`, `opener` makes another of each. `queue_in`, `queue_out`: how many frames may wait to
    be animated, and to be pulled. `turn`: held by whoever runs graphs, where one thread at a time may: that of all that
    share them [its own]. `looks`: whether notes tell of a lost face. A stage that fails ends the session: whoever
    pushes or pulls next gets its error.
    """

    def __init__(
        self,
        stream: Stream,
        portrait: Portrait,
        *,
        opener: Opener,
        policy: Policy,
        queue_in: int,
        queue_out: int,
        stages: Stages,
        turn: threading.RLock | None = None,
        looks: bool = True,
    ) -> None:
        self._stream, self._portrait, self._opener, self._stages = stream, portrait, opener, stages
        # Reentrant: a listener of `stages` is called in the middle of a turn, and may call `change`, which takes one.
        self._turn: AbstractContextManager[Any] = nullcontext() if stream.concurrent else turn or threading.RLock()
        self._in: BoundedQueue[_Driving] = BoundedQueue(queue_in, policy)
        self._seen: BoundedQueue[_Group] = BoundedQueue(1)
        self._denoised: BoundedQueue[_Group] = BoundedQueue(1)
        # A window's frames come at once: "latest" would leave one of each.
        self._out: BoundedQueue[LiveFrame] = BoundedQueue(queue_out, "block" if policy == "block" else "drop-oldest")
        self._queues = (self._in, self._seen, self._denoised, self._out)
        self._pushing, self._closing = threading.Lock(), threading.Lock()
        self._pushes = 0  # calls
        self._pushed = 0  # frames
        self._last_pts: Fraction | None = None
        self._started_s: float | None = None
        self._latencies: deque[float] = deque(maxlen=_LATEST)
        self._emitted_s: deque[float] = deque(maxlen=_LATEST)
        self._began_s = time.monotonic()
        self._emitted = 0
        self._look = LostLook(looks)
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._working, args=(work,), name=f"hp-trt live {name}", daemon=True)
            for name, work in (("see", self._see), ("denoise", self._denoise), ("decode", self._decode))
        ]
        for thread in self._threads:
            thread.start()

    def push(self, item: Any, pts_s: Fraction | float | None = None) -> bool:
        """Hand in what moves the portrait next; arrays must stay as they are.

        A driving frame, (H, W, 3) uint8 RGB: one of another size sets the crop anew. Or, of a portrait that speaks,
        the next samples of the sound, any number of them: (n,) or (n, channels), float32 in [-1, 1] or int16, at
        16 kHz, or a pair of them and their rate in Hz. They become frames, 25 a second, as they fill them.

        `pts_s`: its time on the driver's own clock; None: now, and of samples: right after those before. Returns False
        when older frames were dropped for it; under the policy "block" it waits for room. Raises InputError for what is
        neither, for a time before those that were, and after `close`; and what a stage has failed with.
        """
        taken_s = time.monotonic()
        with self._pushing:
            self._raise_error()
            given = None if pts_s is None else arguments.moment(f"pts_s of push {self._pushes}", pts_s)
            if self._started_s is None:
                self._started_s = taken_s
            now_s = Fraction(taken_s - self._started_s)
            frames = self._stream.taken(item, given, now_s, self._pushes)
            self._pushes += 1
            if not frames and self._in.closed:
                raise _closed()
            return self._put(frames, taken_s)

    def _put(self, frames: Sequence[tuple[Any, Fraction]], taken_s: float) -> bool:
        """Hand driving frames to the first thread; whether none was dropped for them."""
        dropped = 0
        for item, pts in frames:
            if self._last_pts is not None and pts <= self._last_pts:
                raise InputError(
                    f"driving frame {self._pushed} at {float(pts):.3f} s came after one at {float(self._last_pts):.3f} "
                    "s; times must increase: start another session where a source jumps back"
                )
            try:
                dropped += self._in.put(_Driving(index=self._pushed, item=item, pts_s=pts, taken_s=taken_s))
            except Ended:
                self._raise_error()
                raise _closed() from None
            self._pushed, self._last_pts = self._pushed + 1, pts
        return not dropped

    def pull(self, timeout_s: float | None = None) -> LiveFrame | None:
        """The next animated frame, in order; None when the session has ended and all of it is out.

        Raises LiveTimeout, which is also a TimeoutError, when none came in time: the session goes on; and what a stage
        has failed with.
        """
        timeout_s = None if timeout_s is None else arguments.seconds("timeout_s", timeout_s)
        try:
            return self._out.get(timeout_s)
        except Ended:
            self._raise_error()
            return None

    def __iter__(self) -> Iterator[LiveFrame]:
        while (frame := self.pull()) is not None:
            yield frame

    def close(self) -> None:
        """No more frames go in, nor what a push waits with; those inside still come out. Twice is fine."""
        with self._closing:
            free = self._pushing.acquire(blocking=self._in.policy != "block")  # else a push waits for room
            rest = self._stream.rest() if free and not self._in.closed else ()
            now_s, numbered = time.monotonic(), enumerate(rest, start=self._pushed)
            self._in.close(_Driving(index=n, item=item, pts_s=pts_s, taken_s=now_s) for n, (item, pts_s) in numbered)
            if free:
                self._pushing.release()

    def abort(self) -> None:
        """Forget what is inside and end all threads. Twice is fine.

        Called by a listener in one of these threads, it waits for none: another may need the turn that this one has.
        """
        for queue in self._queues:
            queue.abort()
        if threading.current_thread() not in self._threads:
            for thread in self._threads:
                thread.join()
            self._look.join()

    def change(self, *, portrait: Portrait | Picture | None = None, profile: Profile | str | None = None) -> None:
        """Another portrait, or another profile, from the next window on. Returns when it is ready to be used.

        `portrait` is one of `Runtime.portrait`, or whatever that takes. Raises InputError for what cannot be taken,
        such as a portrait of another model, and the session then goes on as it was; and after `close`.
        """
        self._check_open()
        if portrait is not None:
            with self._turn:
                self._portrait = self._opener.portrait(portrait)
        if profile is not None:
            with self._turn:
                self._stream = self._opener.stream(self._portrait, profile, self._stream)

    def reanchor(self) -> None:
        """The next face that is found sets the crop anew: for another speaker, or a camera that was moved.

        Raises InputError after `close`.
        """
        self._check_open()
        self._stream.reanchor()

    @property
    def stats(self) -> LiveStats:
        latencies = list(self._latencies)
        p50, p99 = np.percentile(latencies, (50, 99)).tolist() if latencies else (None, None)
        now_s = time.monotonic()
        # Windows leave in bursts: what counts is how many came in a span that is no shorter than a few of them.
        span_s = min(max(now_s - self._began_s, 1.0), _RATE_S)
        return LiveStats(
            pushed=self._pushed,
            emitted=self._emitted,
            dropped_in=self._in.dropped,
            dropped_out=self._out.dropped,
            held=self._stream.held,
            faceless=self._stream.faceless,
            queued_in=len(self._in),
            room_in=self._in.most - len(self._in),
            queued_out=len(self._out),
            frames_per_s=sum(at > now_s - span_s for at in list(self._emitted_s)) / span_s,
            latency_p50_s=p50,
            latency_p99_s=p99,
            late=self._in.full,
            notes=(*self._portrait.notes, *self._stream.notes, *self._look.notes),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _working(self, work: Callable[[], None]) -> None:
        """A thread's life. However it ends, nobody waits for it."""
        try:
            work()
        except Ended:  # aborted
            pass
        except BaseException as error:
            self._error = self._error or error
            for queue in self._queues:
                queue.abort()

    def _see(self) -> None:
        """What is seen, and its tokens, a window's new frames at a time."""
        stream: Stream | None = None
        group: _Group | None = None
        number = 0  # of the stream's windows
        while True:
            if group is None:
                # A window that waits is enough: until it is taken, frames are newer where the policy is applied.
                self._seen.wait_for_room()
            try:
                driving = self._in.get()
            except Ended:
                break
            newest = self._stream if group is None else group.stream
            with self._stages.unit("crop"):
                seen = newest.see(driving.item, driving.index)
            if seen is None:
                continue
            if group is None:
                number = number + 1 if newest is stream else 0
                stream = newest
                group = _Group(stream=stream, portrait=self._portrait, wanted=stream.new_frames(number))
            group.seen.append(seen)
            group.pts_s.append(driving.pts_s)
            group.taken_s.append(driving.taken_s)
            group.sound.append(newest.sound(driving.item))
            if len(group.seen) == group.wanted:
                self._hand_on(group)
                group = None
        if group is not None and self._error is None:
            self._hand_on(group)
        self._seen.close()

    def _hand_on(self, group: _Group) -> None:
        with self._turn, self._stages.unit("motion", len(group.seen)):
            group.tokens = group.stream.encode(group.seen)
        group.seen = []
        self._seen.put(group)
        group.stream.check_tokens()

    def _denoise(self) -> None:
        for group in self._seen:
            assert group.tokens is not None
            with self._turn, self._stages.unit("denoise"):
                group.stream.change(group.portrait)
                group.latents = group.stream.denoise(group.tokens)
            group.tokens = None
            self._denoised.put(group)
            group.stream.check_latents()
        self._denoised.close()

    def _decode(self) -> None:
        for group in self._denoised:
            assert group.latents is not None
            with self._turn, self._stages.unit("decode", 0):  # a span is work: waiting for the turn is none
                begun = group.stream.begin(group.latents)
            group.latents = None
            crops = group.stream.frames(begun)
            for pts_s, taken_s, sound in zip(group.pts_s, group.taken_s, group.sound, strict=True):
                with self._stages.unit("decode"):  # the first one waits for the graph, each is turned into pixels
                    crop = next(crops)
                now_s = time.monotonic()
                self._latencies.append(now_s - taken_s)
                self._emitted_s.append(now_s)
                self._look.see(group.portrait, crop)
                self._out.put(
                    LiveFrame(
                        index=self._emitted,
                        pts_s=pts_s,
                        crop=crop,
                        latency_s=now_s - taken_s,
                        ready_s=now_s,
                        sound=sound,
                        _paste=group.portrait.paste,
                    )
                )
                self._emitted += 1
        self._out.close()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _check_open(self) -> None:
        self._raise_error()
        if self._in.closed:
            raise _closed()


def _closed() -> InputError:
    return InputError("the live session is closed; open another one")
