"""A stream's latents to pixels, window by window, as they come.

A causal decoder is given the last frames of the window before in front of the new ones, so that it goes on as if there
were no windows. One that is not sees zeros where its pieces end, as the released one does at its chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.errors import BundleError
from runtime.decode import decoder_buffers, each
from runtime.finite import require_finite_frames
from runtime.streams import Fetched, views


class LiveDecoder:
    """One stream's decoder: `begin` with a window's latents, in order, then `frames`. `begin` is not for two threads
    at once; `frames` of one window may be waited for while the next one begins.

    Memory does not depend on how much has been decoded. Raises BundleError for a graph that is too short for its
    context.
    """

    def __init__(self, backend: Backend, session: Session) -> None:
        self._backend, self._session = backend, session
        self._context = session.spec.context
        self._most = session.spec.ranges["chunk"].max - self._context
        if self._most < 1:
            raise BundleError(
                f"{session.spec.name} decodes at most {session.spec.ranges['chunk'].max} frames at a time and looks "
                f"back over {self._context}; build the bundle again"
            )
        self._before: Buffer | None = None  # the last frames of the piece before, at most `context`
        self._decoded = 0

    def begin(self, latents: Buffer) -> list[Fetched]:
        """Decode latents (n, 4, h, w) float32, in as few pieces as the graph takes. They may be written again."""
        count = latents.shape[0]
        pieces = -(-count // self._most)
        # Evenly: a last piece of one frame would decode its context for it.
        bounds = [count * p // pieces for p in range(pieces + 1)]
        return [self._piece(latents, start, stop) for start, stop in pairwise(bounds)]

    def frames(self, begun: Sequence[Fetched]) -> Iterator[np.ndarray]:
        """The frames' pixels (H, W, 3) uint8 RGB, of what was begun. Raises NonFiniteError in the place of a frame."""
        for fetched in begun:
            made = fetched.wait()
            first = self._decoded
            self._decoded += len(made["pixels"])
            what = f"{self._session.spec.name}: live frames {first} to {self._decoded - 1}"
            for pixels, its_sum in zip(each(made["pixels"]), made["sums"], strict=True):
                if not np.isfinite(its_sum):
                    require_finite_frames(made["sums"], what)
                yield pixels

    def _piece(self, latents: Buffer, start: int, stop: int) -> Fetched:
        backend, count = self._backend, stop - start
        before = 0 if self._before is None else self._before.shape[0]
        # All of it: what is put together on another stream waits for the next window, which is queued there already.
        with backend.stream("decode"):
            stack = backend.empty((before + count, *latents.shape[1:]), "float32")
            if self._before is not None:
                backend.take(self._before, range(before), backend.view(stack, 0, before))
            backend.take(latents, range(start, stop), backend.view(stack, before, before + count))
            if self._context:
                self._before = backend.view(stack, max(before + count - self._context, 0), before + count)
            decoded = decoder_buffers(backend, self._session.spec, before + count)
            self._session.run({"latents": stack}, decoded)
        return Fetched(backend, views(backend, decoded, before, before + count))
