"""What stays on the device while a clip is made: the portrait, the motion, and what each row sees of them.

Tokens never come back to the host, but for the two frames that padding is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.backend import Backend, Buffer
from engines.errors import InputError
from runtime.hunyuanportrait.guidance import Row
from runtime.hunyuanportrait.padding import fade_in, fade_out
from runtime.streams import Guard


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A portrait as the networks see it: encoded once, then used for any number of clips."""

    image_tokens: Buffer  # (1, n, D), the bundle's token dtype
    image_latents: Buffer  # (1, 4, h, w) float32, of the noise-augmented portrait, not scaled: the condition
    start_latents: np.ndarray  # (1, 4, h, w) float32, of the plain portrait, not scaled: where a clip starts from


class MotionBank:
    """Motion tokens, appended group by group while the driving video is read, and never held twice where it is known
    beforehand that there will be `expected` frames, padded by `pad_frames`: their room is taken at once.
    """

    def __init__(self, backend: Backend, *, pad_frames: int = 0, expected: int = 0) -> None:
        self.guard = Guard(backend)  # for `encode_motion`; settled by `finish`
        self._backend = backend
        self._before, self._expected = pad_frames, expected
        self._tokens: Buffer | None = None  # `_before` frames of room, then the frames so far, then more room
        self._frames = 0

    def __len__(self) -> int:
        """Frames so far."""
        return self._frames

    def append(self, tokens: Buffer) -> None:
        """Keep the tokens (n, m, D) of the next n frames.

        Raises NonFiniteError for tokens of the groups before that its guard watches.
        """
        self.guard.settle(but=1)
        count = tokens.shape[0]
        room = 0 if self._tokens is None else self._tokens.shape[0]
        needed = self._before + self._frames + count + self._before
        if needed > room:
            self._move(tokens, self._before, max(needed, 2 * room, self._expected + 2 * self._before))
        self._put(tokens, self._before + self._frames)
        self._frames += count

    def finish(self, pad_frames: int) -> Buffer:
        """All frames with `pad_frames` faded ones on either side: (N + 2 P, m, D). Empties the bank.

        Raises NonFiniteError for tokens that its guard watches.
        """
        self.guard.settle()
        if self._tokens is None:
            raise InputError("the driving video has no frames; it needs at least one")
        backend, frames = self._backend, self._frames
        if pad_frames > self._before or self._before + frames + pad_frames > self._tokens.shape[0]:
            self._move(self._tokens, pad_frames, frames + 2 * pad_frames)
        tokens, begin, end = self._tokens, self._before, self._before + frames
        if pad_frames:
            first = backend.download(backend.view(tokens, begin, begin + 1))[0]
            last = backend.download(backend.view(tokens, end - 1, end))[0]
            self._put(backend.upload(fade_in(first, pad_frames)), begin - pad_frames)
            self._put(backend.upload(fade_out(last, pad_frames)), end)
        self._tokens, self._frames = None, 0
        return backend.view(tokens, begin - pad_frames, end + pad_frames)

    def _move(self, like: Buffer, before: int, room: int) -> None:
        """Have `room` for tokens like these, and the frames so far in it behind `before`."""
        old, start = self._tokens, self._before
        self._tokens, self._before = self._backend.empty((room, *like.shape[1:]), str(like.dtype)), before
        if old is not None:
            self._put(self._backend.view(old, start, start + self._frames), before)

    def _put(self, tokens: Buffer, start: int) -> None:
        assert self._tokens is not None
        count = tokens.shape[0]
        self._backend.take(tokens, range(count), self._backend.view(self._tokens, start, start + count))


class LiveBank:
    """What a live window leaves for the next one: its last frames, as they were before every step and in the end.

    `latents[i]` (O, 4, h, w) float32 before step i, `latents[S]` finished; written over window by window.
    """

    def __init__(self, backend: Backend, *, steps: int, overlap: int, cell: tuple[int, ...]) -> None:
        self._backend, self._overlap = backend, overlap
        count = steps + 1 if overlap else 0
        self.latents = [backend.empty((overlap, *cell), "float32") for _ in range(count)]
        self._tokens: Buffer | None = None

    def tokens(self, like: Buffer) -> Buffer:
        """(O, m, D): the motion of the same frames, in the shape and dtype of `like` (n, m, D)."""
        if self._tokens is None:
            self._tokens = self._backend.empty((self._overlap, *like.shape[1:]), str(like.dtype))
        return self._tokens


class Conditions:
    """The denoiser's conditions for any set of rows, at addresses that stay the same from window to window.

    Rows that do not see the portrait, or the motion, have zeros in its place.
    """

    def __init__(self, backend: Backend, identity: Identity, motion_tokens: Buffer, *, window: int) -> None:
        self._backend = backend
        self._identity = identity
        self._motion_tokens = motion_tokens
        self._window = window
        self._by_rows: dict[tuple[Row, ...], dict[str, Buffer]] = {}

    def of_window(self, rows: tuple[Row, ...], frames: Sequence[int]) -> dict[str, Buffer]:
        """`image_latents`, `image_tokens` and `motion_tokens` of these rows; valid until the next call."""
        if rows not in self._by_rows:
            self._by_rows[rows] = self._allocate(rows)
        conditions = self._by_rows[rows]
        for r, row in enumerate(rows):
            if row.sees_motion:
                slot = self._backend.view(conditions["motion_tokens"], r, r + 1)
                self._backend.take(self._motion_tokens, frames, slot)
        return conditions

    def _allocate(self, rows: tuple[Row, ...]) -> dict[str, Buffer]:
        backend, motion = self._backend, self._motion_tokens
        conditions = {"motion_tokens": backend.zeros((len(rows), self._window, *motion.shape[1:]), str(motion.dtype))}
        for name in ("image_latents", "image_tokens"):
            source: Buffer = getattr(self._identity, name)
            conditions[name] = backend.zeros((len(rows), *source.shape[1:]), str(source.dtype))
            for r, row in enumerate(rows):
                if row.sees_portrait:
                    backend.take(source, [0], backend.view(conditions[name], r, r + 1))
        return conditions
