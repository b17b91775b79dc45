"""From a clip's latents to its frames: the last ones first, because the next clip waits for them.

Each frame is decoded by itself, so the order and the chunks are free.

Source: SPEC 8, step 5.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

import numpy as np

from engines.backend import Backend, Buffer, Pending, Session
from engines.errors import BundleError
from runtime.finite import require_finite
from runtime.stages import Stages
from runtime.streams import ReadAhead

Part = tuple[int, int]  # frames [start, stop) of a clip


class ClipFrames(Iterator[np.ndarray]):
    """A clip's F frames in order, once: (3, H, W) float32 raw, about [-1, 1]. An array is the caller's to keep."""

    def __init__(self, others: Iterator[np.ndarray], tail: np.ndarray) -> None:
        self.tail = tail  # (n, 3, H, W): the last n of them
        self.meanwhile: Callable[[], None] | None = None  # called before a frame is waited for
        self._coming = chain(others, tail)
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
        self._outputs: list[Buffer] = []

    def decode(self, clip: int, latents: Buffer, *, first: int) -> ClipFrames:
        """Of latents (F, 4, h, w) float32: waits for the last `first` frames, or all where these are fewer.

        On a backend that works on by itself, more of them are then on their way. `clip` is for the message of the
        NonFiniteError that this and the frames may raise.
        """
        others = self._frames - min(first, self._frames)
        last_parts, other_parts = self._parts(others, self._frames), self._parts(0, others)
        ahead = ReadAhead(self._backend, [*last_parts, *other_parts], partial(self._begin, latents))
        while len(self._outputs) < ahead.slots:
            sides = (int(n) for n in self._session.spec.output("frames").dims[1:])
            self._outputs.append(self._backend.empty((self._chunk, *sides), "float32"))
        tail = np.concatenate([self._next(ahead, clip, part) for part in last_parts])
        return ClipFrames(self._others(ahead, clip, other_parts), tail)

    def _parts(self, start: int, stop: int) -> list[Part]:
        return [(first, min(first + self._chunk, stop)) for first in range(start, stop, self._chunk)]

    def _others(self, ahead: ReadAhead[Part], clip: int, parts: Sequence[Part]) -> Iterator[np.ndarray]:
        for part in parts:
            yield from self._next(ahead, clip, part)

    def _next(self, ahead: ReadAhead[Part], clip: int, part: Part) -> np.ndarray:
        start, stop = part
        with self._stages.unit("decode", stop - start):
            what = f"{self._session.spec.name}: frames {start} to {stop - 1} of clip {clip}"
            return require_finite(ahead.next(), what)

    def _begin(self, latents: Buffer, part: Part, slot: int) -> Pending:
        start, stop = part
        decoded = self._backend.view(self._outputs[slot], 0, stop - start)
        with self._backend.stream("decode"):
            self._session.run({"latents": self._backend.view(latents, start, stop)}, {"frames": decoded})
        return self._backend.fetch(decoded)
