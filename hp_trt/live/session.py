"""A live session: driving frames go in as they come, animated frames come out, and everything between runs beside it.

    push -> [in] -> see: crop, motion -> [1] -> denoise: a window -> [1] -> decode: frames -> [out] -> pull

Three threads, one a stage, with bounded queues between them: while a window is denoised, the one before is decoded and
the next one's frames are cropped. Where graphs do not run from several threads at once, their stages take turns at
them. On TensorRT a turn is only queueing: stages wait outside of it, and streams overlap. On a CPU of a few cores a
turn has all of them, and what overlaps is the rest: reading, cropping, turning into pixels, pasting, writing.

What is late is decided at the two ends, by the policy: a frame waits there, or is dropped and counted. Frames between
them are at most a window in each stage, so latency is bounded by the queues, never by how long a session has run.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from engines.backend import Buffer
from engines.errors import InputError
from hp_trt.faces.face import FaceLocator
from hp_trt.hunyuanportrait.driving import DrivingCrop
from hp_trt.hunyuanportrait.live_crops import Sight
from hp_trt.live.queues import BoundedQueue, Ended, Policy
from hp_trt.media.paste import PasteBack
from hp_trt.profiles import Profile
from runtime.decode import to_uint8
from runtime.hunyuanportrait.encode import encode_motion
from runtime.hunyuanportrait.live import LiveLoop
from runtime.live_decode import LiveDecoder
from runtime.stages import Stages
from runtime.streams import Guard

if TYPE_CHECKING:
    from hp_trt.api import Portrait, Runtime

_LATEST = 600  # frames that latencies are told of
_RATE_S = 5.0  # over which the frames a second are counted


@dataclass(frozen=True, kw_only=True)
class LiveFrame:
    """One animated frame."""

    index: int  # counts what has come out, from 0
    pts_s: Fraction  # of its driving frame, as it was pushed
    crop: np.ndarray  # (S, S, 3) uint8 RGB: the square that the networks made; yours to keep
    latency_s: float  # glass to glass: from the push of its driving frame until it could be pulled
    ready_s: float  # when that was, on the monotonic clock: a window's frames are ready together
    _paste: PasteBack = field(repr=False)

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
    queued_out: int
    frames_per_s: float  # over the last seconds
    latency_p50_s: float | None  # of the latest frames; None before the first
    latency_p99_s: float | None
    late: bool  # the input queue is full: frames come faster than they are animated
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Driving:
    """A driving frame on its way."""

    index: int  # of the pushed frames
    image: np.ndarray
    pts_s: Fraction
    taken_s: float  # on the monotonic clock


@dataclass(frozen=True, kw_only=True)
class _Stream:
    """What animates from here on: replaced as a whole when the profile changes."""

    profile: Profile
    loop: LiveLoop
    decoder: LiveDecoder


@dataclass(kw_only=True)
class _Group:
    """The frames of a window that are seen together."""

    stream: _Stream
    portrait: Portrait
    wanted: int
    crops: list[DrivingCrop] = field(default_factory=list)
    pts_s: list[Fraction] = field(default_factory=list)
    taken_s: list[float] = field(default_factory=list)
    tokens: Buffer | None = None  # then
    latents: Buffer | None = None  # then


class LiveSession:
    """Made by `Runtime.live`; a context manager, for use from any thread. The runtime is its own until it ends.

    A stage that fails ends the session: whoever pushes or pulls next gets its error.
    """

    def __init__(
        self,
        runtime: Runtime,
        portrait: Portrait,
        profile: Profile,
        *,
        locator: FaceLocator,
        policy: Policy,
        queue_in: int | None,
        queue_out: int | None,
        sampling: Mapping[str, Any],
        stages: Stages,
    ) -> None:
        self._runtime, self._sampling, self._stages = runtime, dict(sampling), stages
        backend = runtime.backend
        self._turn: AbstractContextManager[Any] = nullcontext() if backend.concurrent else threading.RLock()
        self._portrait = portrait
        self._stream = self._open(profile, portrait)
        window = self._stream.loop.windows.size
        self._in: BoundedQueue[_Driving] = BoundedQueue(window if queue_in is None else queue_in, policy)
        self._seen: BoundedQueue[_Group] = BoundedQueue(1)
        self._denoised: BoundedQueue[_Group] = BoundedQueue(1)
        # A window's frames come at once: "latest" would leave one of each.
        self._out: BoundedQueue[LiveFrame] = BoundedQueue(
            2 * window if queue_out is None else queue_out, "block" if policy == "block" else "drop-oldest"
        )
        self._queues = (self._in, self._seen, self._denoised, self._out)
        self._pushing = threading.Lock()
        self._pushed = 0
        self._last_pts: Fraction | None = None
        self._started_s: float | None = None
        self._sight = Sight(locator, runtime.bundle.manifest.geometry)
        self._guard = Guard(backend) if backend.asynchronous else None  # of motion tokens
        self._latencies: deque[float] = deque(maxlen=_LATEST)
        self._emitted_s: deque[float] = deque(maxlen=_LATEST)
        self._began_s = time.monotonic()
        self._emitted = 0
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._working, args=(work,), name=f"hp-trt live {name}", daemon=True)
            for name, work in (("see", self._see), ("denoise", self._denoise), ("decode", self._decode))
        ]
        for thread in self._threads:
            thread.start()

    def push(self, image: np.ndarray, pts_s: Fraction | float | None = None) -> bool:
        """Hand in the next driving frame, (H, W, 3) uint8 RGB; the array must stay as it is.

        `pts_s`: its time on the driver's own clock; None: now. Returns False when an older frame was dropped for it.
        Under the policy "block" it waits for room. A frame of another size sets the crop anew. Raises InputError for
        what is no such frame, for a time that does not come after the last one's, and after `close`; and what a stage
        has failed with.
        """
        taken_s = time.monotonic()
        if not (isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8):
            found = f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
            raise InputError(f"a driving frame is an array (H, W, 3) of uint8, red first; got {found}")
        if not image.size:
            raise InputError(f"a driving frame has no pixels: {image.shape}; hand in none where there is none")
        with self._pushing:
            self._raise_error()
            if self._started_s is None:
                self._started_s = taken_s
            pts = Fraction(taken_s - self._started_s) if pts_s is None else Fraction(pts_s)
            if self._last_pts is not None and pts <= self._last_pts:
                raise InputError(
                    f"a driving frame at {float(pts):.3f} s came after one at {float(self._last_pts):.3f} s; times "
                    "must increase: start another session where a source jumps back"
                )
            try:
                dropped = self._in.put(_Driving(index=self._pushed, image=image, pts_s=pts, taken_s=taken_s))
            except Ended:
                self._raise_error()
                raise InputError("the live session is closed; open another one") from None
            self._pushed, self._last_pts = self._pushed + 1, pts
        return not dropped

    def pull(self, timeout_s: float | None = None) -> LiveFrame | None:
        """The next animated frame, in order; None when the session has ended and all of it is out.

        Raises TimeoutError, and what a stage has failed with.
        """
        try:
            return self._out.get(timeout_s)
        except Ended:
            self._raise_error()
            return None

    def __iter__(self) -> Iterator[LiveFrame]:
        while (frame := self.pull()) is not None:
            yield frame

    def close(self) -> None:
        """No more frames go in; those inside still come out. Twice is fine."""
        self._in.close()

    def abort(self) -> None:
        """Forget what is inside and end all threads. Twice is fine."""
        for queue in self._queues:
            queue.abort()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def change(self, *, portrait: Portrait | Any = None, profile: Profile | str | None = None) -> None:
        """Another portrait, or another profile, from the next window on. Returns when it is ready to be used.

        `portrait` is one of `Runtime.portrait`, or whatever that takes.
        """
        from hp_trt.api import Portrait

        self._raise_error()
        if portrait is not None:
            with self._turn:
                who = portrait if isinstance(portrait, Portrait) else self._runtime.portrait(portrait)
            self._portrait = who
        if profile is not None:
            self._stream = self._open(self._runtime.live_profile(profile), self._portrait)

    def reanchor(self) -> None:
        """The next face that is found sets the crop anew: for another speaker, or a camera that was moved."""
        self._sight.anew = True

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
            held=self._sight.held,
            faceless=self._sight.faceless,
            queued_in=len(self._in),
            queued_out=len(self._out),
            frames_per_s=sum(at > now_s - span_s for at in list(self._emitted_s)) / span_s,
            latency_p50_s=p50,
            latency_p99_s=p99,
            late=self._in.full,
            notes=(*self._portrait.notes, *self._sight.notes(), *self._runtime.backend.notes),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _open(self, profile: Profile, portrait: Portrait) -> _Stream:
        assert profile.windows is not None, f"{profile.name} is no profile of mode live"
        runtime = self._runtime
        with self._turn:
            sessions = runtime.sessions_of(profile)
            loop = LiveLoop(
                runtime.backend,
                sessions,
                identity=portrait.identity,
                sampling=runtime.sampling_of(profile, **self._sampling),
                windows=profile.windows,
                side_px=runtime.bundle.manifest.geometry["crop_px"],
            )
            return _Stream(profile=profile, loop=loop, decoder=LiveDecoder(runtime.backend, sessions["decoder"]))

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
        """Crops and motion tokens, a window's new frames at a time."""
        stream: _Stream | None = None
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
            with self._stages.unit("crop"):
                crop = self._sight.crop(driving.image, driving.index)
            if crop is None:
                continue
            if group is None:
                newest = self._stream
                number = number + 1 if newest is stream else 0
                stream = newest
                group = _Group(stream=stream, portrait=self._portrait, wanted=stream.loop.windows.new_frames(number))
            group.crops.append(crop)
            group.pts_s.append(driving.pts_s)
            group.taken_s.append(driving.taken_s)
            if len(group.crops) == group.wanted:
                self._hand_on(group)
                group = None
        if group is not None and self._error is None:
            self._hand_on(group)
        self._seen.close()

    def _hand_on(self, group: _Group) -> None:
        head_id, exp_id = self._sight.intensity(group.crops)
        with self._turn, self._stages.unit("motion", len(group.crops)):
            group.tokens = encode_motion(
                self._runtime.backend,
                self._runtime.sessions_of(group.stream.profile)["motion"],
                face_images=np.stack([crop.face_image for crop in group.crops]),
                pose_images=np.stack([crop.pose_image for crop in group.crops]),
                head_id=head_id,
                exp_id=exp_id,
                first_frame=self._sight.frames - len(group.crops),
                guard=self._guard,
            )
        group.crops = []
        self._seen.put(group)

    def _denoise(self) -> None:
        backend = self._runtime.backend
        for group in _drained(self._seen):
            assert group.tokens is not None
            with self._turn, self._stages.unit("denoise"):
                loop = group.stream.loop
                if loop.identity is not group.portrait.identity:
                    loop.change_identity(group.portrait.identity)
                latents = loop.window(group.tokens)
                # The loop writes its own again; the decoder may be a window behind.
                group.latents = backend.empty(latents.shape, "float32")
                backend.take(latents, range(latents.shape[0]), group.latents)
            group.tokens = None
            self._denoised.put(group)
        self._denoised.close()

    def _decode(self) -> None:
        for group in _drained(self._denoised):
            assert group.latents is not None
            decoder = group.stream.decoder
            with self._turn, self._stages.unit("decode", 0):  # a span is work: waiting for the turn is none
                begun = decoder.begin(group.latents)
            group.latents = None
            with self._stages.unit("decode", len(group.pts_s)):
                crops = [to_uint8(image) for image in decoder.frames(begun)]
            for crop, pts_s, taken_s in zip(crops, group.pts_s, group.taken_s, strict=True):
                now_s = time.monotonic()
                self._latencies.append(now_s - taken_s)
                self._emitted_s.append(now_s)
                self._out.put(
                    LiveFrame(
                        index=self._emitted,
                        pts_s=pts_s,
                        crop=crop,
                        latency_s=now_s - taken_s,
                        ready_s=now_s,
                        _paste=group.portrait.paste,
                    )
                )
                self._emitted += 1
        self._out.close()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error


def _drained(queue: BoundedQueue[_Group]) -> Iterator[_Group]:
    while True:
        try:
            yield queue.get()
        except Ended:
            return
