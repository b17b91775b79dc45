"""From a clip's latents to its pixels: the last frames first, because the next clip waits for them.

Each frame is decoded by itself, so the order and the chunks are free. The next clip goes on from the last frames as the
decoder leaves them; of all others nothing but pixels is fetched.

Source: SPEC 8, step 5.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.errors import BundleError
from runtime.decode import PIXELS, decoder_buffers, each
from runtime.finite import require_finite_frames
from runtime.stages import Stages
from runtime.streams import Arrays, Fetched, ReadAhead, views

Part = tuple[int, int]  # frames [start, stop) of a clip


class ClipFrames(Iterator[np.ndarray]):
    """A clip's F frames in order, once: pixels (H, W, 3) uint8 RGB. An array is the caller's to keep."""

    def __init__(self, others: Iterator[np.ndarray], last: Iterator[np.ndarray], tail: np.ndarray) -> None:
        """`others`: all but the `last`, whose raw frames are `tail`."""
        self.tail = tail  # (n, 3, H, W) float32, about [-1, 1]: the last n frames, raw
        self.meanwhile: Callable[[], None] | None = None  # called before a frame is waited for
        self._coming = chain(others, last)
        self._kept: deque[np.ndarray] = deque()

    def __next__(self) -> np.ndarray:
        if self._kept:
            return self._kept.popleft()
        if self.meanwhile is not None:
            self.meanwhile()
        return next(self._coming)

    def finish(self) -> None:
        """Decode what nobody has asked for yet, and keep it for whoever will."""
        self.meanwhile = None
        self._kept.extend(self._coming)


class ClipDecoder:
    """Decodes clips of F frames, `chunk` of them at a time at most. Its buffers serve all clips of a video.

    Raises BundleError for a chunk that the bundle was not built for.
    """

    def __init__(self, backend: Backend, session: Session, *, frames: int, chunk: int, stages: Stages) -> None:
        self._backend, self._session, self._stages = backend, session, stages
        self._frames = frames
        self._chunk = min(chunk, frames)
        most = session.spec.ranges["chunk"].max
        if self._chunk > most:
            raise BundleError(
                f"the bundle decodes at most {most} frames at a time, asked for {chunk}; lower decode_chunk"
            )
        self._outputs: list[dict[str, Buffer]] = []  # by slot

    def decode(self, clip: int, latents: Buffer, *, first: int) -> ClipFrames:
        """Of latents (F, 4, h, w) float32: waits for the last `first` frames, or all where these are fewer.

        On a backend that works on by itself, more of them are then on their way. `clip` is for the message of the
        NonFiniteError that this and the frames may raise.
        """
        others = self._frames - min(first, self._frames)
        last_parts, other_parts = self._parts(others, self._frames), self._parts(0, others)
        ahead = ReadAhead(self._backend, [*last_parts, *other_parts], partial(self._begin, latents, others))
        while len(self._outputs) < ahead.slots:
            self._outputs.append(decoder_buffers(self._backend, self._session.spec, self._chunk, (*PIXELS, "frames")))
        last = [self._next(ahead, clip, part) for part in last_parts]
        pixels, tail = (np.concatenate([made[name] for made in last]) for name in ("pixels", "frames"))
        return ClipFrames(self._others(ahead, clip, other_parts), each(pixels), tail)

    def _parts(self, start: int, stop: int) -> list[Part]:
        return [(first, min(first + self._chunk, stop)) for first in range(start, stop, self._chunk)]

    def _others(self, ahead: ReadAhead[Part, Arrays], clip: int, parts: Sequence[Part]) -> Iterator[np.ndarray]:
        for part in parts:
            yield from each(self._next(ahead, clip, part)["pixels"])

    def _next(self, ahead: ReadAhead[Part, Arrays], clip: int, part: Part) -> Arrays:
        start, stop = part
        with self._stages.unit("decode", stop - start):
            made = ahead.next()
            require_finite_frames(
                made["sums"], f"{self._session.spec.name}: frames {start} to {stop - 1} of clip {clip}"
            )
            return made

    def _begin(self, latents: Buffer, others: int, part: Part, slot: int) -> Fetched:
        """Raw frames are wanted of those behind the `others`."""
        start, stop = part
        names = PIXELS if stop <= others else (*PIXELS, "frames")
        wanted = {name: self._outputs[slot][name] for name in names}
        decoded = views(self._backend, wanted, 0, stop - start)
        with self._backend.stream("decode"):
            self._session.run({"latents": self._backend.view(latents, start, stop)}, decoded)
        return Fetched(self._backend, decoded)
