"""What stays on the device while a clip is made: the portrait, the motion, and what each row sees of them.

Tokens never come back to the host, but for the two frames that padding is made of.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

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
    """Motion tokens, appended group by group while the driving video is read."""

    def __init__(self, backend: Backend) -> None:
        self.guard = Guard(backend)  # for `encode_motion`; settled by `finish`
        self._backend = backend
        self._groups: list[Buffer] = []

    def __len__(self) -> int:
        """Frames so far."""
        return sum(group.shape[0] for group in self._groups)

    def append(self, tokens: Buffer) -> None:
        """Keep the tokens (n, m, D) of the next n frames. The buffer is the bank's from now on.

        Raises NonFiniteError for tokens of the groups before that its guard watches.
        """
        self.guard.settle(but=1)
        self._groups.append(tokens)

    def finish(self, pad_frames: int) -> MotionTokens:
        """All frames with `pad_frames` faded ones on either side: (N + 2 P, m, D). Empties the bank.

        Raises NonFiniteError for tokens that its guard watches.
        """
        self.guard.settle()
        if not self._groups:
            raise InputError("the driving video has no frames; it needs at least one")
        backend, groups = self._backend, self._groups
        self._groups = []
        if pad_frames:
            last_group, count = groups[-1], groups[-1].shape[0]
            first = backend.download(backend.view(groups[0], 0, 1))[0]
            last = backend.download(backend.view(last_group, count - 1, count))[0]
            groups.insert(0, backend.upload(fade_in(first, pad_frames)))
            groups.append(backend.upload(fade_out(last, pad_frames)))
        return MotionTokens(backend, groups)


class MotionTokens:
    """A clip's motion tokens (T, m, D), in the groups (n, m, D) in which they came: a clip is never held twice."""

    def __init__(self, backend: Backend, groups: Sequence[Buffer]) -> None:
        self._backend, self._groups = backend, groups
        self._starts = list(accumulate((group.shape[0] for group in groups), initial=0))
        self.shape = (self._starts[-1], *groups[0].shape[1:])
        self.dtype = groups[0].dtype
        self._gathered: Buffer | None = None

    def take(self, frames: Sequence[int], out: Buffer) -> None:
        """`out[0] = tokens[frames]`, (1, len(frames), m, D): group by group, then as one."""
        backend = self._backend
        if self._gathered is None or self._gathered.shape[0] < len(frames):
            self._gathered = backend.empty((len(frames), *self.shape[1:]), str(self.dtype))
        whole = backend.view(self._gathered, 0, len(frames))
        done = 0
        for number, run in groupby(frames, key=lambda frame: bisect_right(self._starts, frame) - 1):
            indices = [frame - self._starts[number] for frame in run]
            backend.take(self._groups[number], indices, backend.view(whole, done, done + len(indices)))
            done += len(indices)
        backend.take(whole, range(len(frames)), out)


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

    def __init__(
        self, backend: Backend, identity: Identity, motion_tokens: MotionTokens | Buffer, *, window: int
    ) -> None:
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
                if isinstance(self._motion_tokens, MotionTokens):
                    self._motion_tokens.take(frames, slot)
                else:
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
