"""The loop of live mode: causal windows, of which each one continues the one before.

A window is F frames: O frames that the window before has finished, and F - O new ones. At every step the O frames are
what they were in the window before at that step, so the new frames are denoised beside them as if both windows were
one, and only the new ones leave. The first window has no window before it; it begins with made-up frames that fade in,
which are thrown away.

What this window would have made of the last tied frame is another thing than the window before did: a step that all of
its new frames have in common. It is taken from them, less from frame to frame, so nothing is seen at the joint.

    stitching  X' = a X + b V            V of the window; the bank then writes the tied rows
    joining    X" = X' + w_t (B - X'_O)  w_t = 1 - t / (n + 1), t: 1 .. n of the new frames, 0 of O, the last tied one;
                                         B: that frame as the window before left it

Source: our own (docs/decisions.md, "Sampling and live mode"); the released sampler has none of this, because its
windows wrap round a clip's end and all advance together.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from engines.backend import Backend, Buffer, Session
from runtime import schedule
from runtime.finite import require_finite
from runtime.hunyuanportrait.denoise import StepNumbers, check_window
from runtime.hunyuanportrait.estimate import Estimator
from runtime.hunyuanportrait.memory_bank import Conditions, Identity, LiveBank
from runtime.hunyuanportrait.noise import NoiseStream
from runtime.hunyuanportrait.padding import fade_in
from runtime.hunyuanportrait.sampling import Sampling
from runtime.live_windows import LiveWindows
from runtime.streams import Guard


class LiveLoop:
    """One stream's windows, in order, each as soon as its frames are there. Not for two threads at once.

    Sessions by role: `step_embedding`, `denoiser` (a window of `windows.size`; with `inner`, its two parts), `stitch`
    (of one window). Latents and
    tokens stay on the device; memory does not depend on how many windows there have been. Raises BundleError for a
    denoiser of another window.
    """

    def __init__(
        self,
        backend: Backend,
        sessions: Mapping[str, Session],
        *,
        identity: Identity,
        sampling: Sampling,
        windows: LiveWindows,
        side_px: int,
    ) -> None:
        check_window(sessions["denoiser"], windows.size)
        self._backend, self._sessions = backend, sessions
        self._sampling, self.windows = sampling, windows
        self._guard = Guard(backend)
        self._numbers = StepNumbers(backend, sessions["step_embedding"], sampling, self._guard)
        self._estimator = Estimator(backend, sessions, sampling, slides=False)
        self._noise = NoiseStream(sampling.seed, side_px, side_px)
        cell = identity.start_latents.shape[1:]
        self._latents = [backend.empty((windows.size, *cell), "float32") for _ in range(2)]
        self._velocity = backend.empty((windows.size, *cell), "float32")
        self._stitching = backend.upload(np.eye(windows.size, dtype=np.float32))
        self._joining = {
            "matrix": backend.upload(joining_matrix(windows)),
            "a": backend.upload(np.ones(1, np.float32)),
            "b": backend.upload(np.ones(1, np.float32)),
        }
        self._bank = LiveBank(backend, steps=sampling.executed_steps, overlap=windows.overlap, cell=cell)
        self._tokens: Buffer | None = None  # of the window; its first frames are the overlap's once there was one
        self._window = 0
        self._continues = False  # whether the window before was of this portrait, so that its latents can be kept to
        self.change_identity(identity)

    @property
    def wanted(self) -> int:
        """How many new frames the next window takes."""
        return self.windows.new_frames(self._window)

    def change_identity(self, identity: Identity) -> None:
        """Another portrait from the next window on. Its overlap still tells how the head moved; its latents do not."""
        self.identity = identity
        self._conditions: Conditions | None = None
        self._continues = False

    def window(self, tokens: Buffer) -> Buffer:
        """Denoise the next window: latents (n, 4, h, w) float32 of its new frames, as the decoder takes them.

        tokens (n, m, D): motion of n = `wanted` new frames, or of fewer where the stream stops for now: the last one
        then stands still to the window's end, and what is made of that is thrown away. The latents are valid until the
        next call. Raises NonFiniteError; where the backend works on by itself, `check` does.
        """
        count = tokens.shape[0]
        if not 0 < count <= self.wanted:
            raise ValueError(f"this window takes 1 to {self.wanted} new frames, got {count}")
        first = self.windows.size - self.wanted  # where the new frames begin
        self._place(tokens, first)
        latents = self._denoise(first, count)
        self._window += 1
        self._continues = True
        return self._backend.view(latents, first, first + count)

    def check(self) -> None:
        """Wait for the latents of all windows before the last one, and look at them. Raises NonFiniteError.

        The last one keeps the device busy meanwhile. For the thread that calls `window`.
        """
        self._guard.settle(but=1)

    def _place(self, tokens: Buffer, first: int) -> None:
        """The window's motion: what it keeps or makes up, then the new frames, then the last one again."""
        backend, count, size = self._backend, tokens.shape[0], self.windows.size
        if self._tokens is None:
            self._tokens = backend.empty((size, *tokens.shape[1:]), str(tokens.dtype))
            if first:
                faded = fade_in(backend.download(backend.view(tokens, 0, 1))[0], first)
                backend.take(backend.upload(faded), range(first), backend.view(self._tokens, 0, first))
        elif first:
            backend.take(self._bank.tokens(tokens), range(first), backend.view(self._tokens, 0, first))
        indices = [min(i, count - 1) for i in range(size - first)]
        backend.take(tokens, indices, backend.view(self._tokens, first, size))
        if self.windows.overlap:
            backend.take(self._tokens, self._kept(first + count), self._bank.tokens(tokens))
        if self._conditions is None:
            self._conditions = Conditions(backend, self.identity, self._tokens, window=size)

    def _kept(self, end: int) -> list[int]:
        """The frames of a window that the next one continues: the last `overlap` before `end`."""
        return [max(i, 0) for i in range(end - self.windows.overlap, end)]

    def _denoise(self, first: int, count: int) -> Buffer:
        backend, numbers = self._backend, self._numbers
        size, overlap = self.windows.size, self.windows.overlap
        tied = overlap > 0 and self._continues
        latents, following = self._latents
        start = np.float32(self._sampling.scaling_factor) * self.identity.start_latents
        # Frames that are tied have had their noise, in the window before.
        noise = self._noise.draw((size - overlap if tied else size, *start.shape[1:]))
        noisy = schedule.add_noise(start, noise, numbers.first_sigma)
        backend.take(backend.upload(noisy), range(len(noisy)), backend.view(latents, size - len(noisy), size))
        kept = self._kept(first + count)
        assert self._conditions is not None
        for step in range(self._sampling.executed_steps):
            self._tie(latents, step, kept, tied)
            seen = self._conditions.of_window(numbers.rows(step), range(size))
            inputs = {"latents": latents} | seen | numbers.of_denoiser(step)
            self._estimator.velocity(step, range(size), inputs, self._velocity)
            stack = {"latents": latents, "velocities": self._velocity, "matrix": self._stitching}
            self._sessions["stitch"].run(stack | numbers.of_stitch(step), {"next_latents": following})
            latents, following = following, latents
        if tied:
            self._join(latents, following)
            latents, following = following, latents
        self._tie(latents, self._sampling.executed_steps, kept, tied)
        self._latents = [latents, following]
        self._guard.watch(latents, partial(require_finite, what=f"denoiser: latents of live window {self._window}"))
        if not backend.asynchronous:
            self._guard.settle()
        return latents

    def _join(self, latents: Buffer, joined: Buffer) -> None:
        """After the last step: the new frames without the step that the last tied one would have made."""
        last, pair = self.windows.overlap - 1, self._velocity  # whose frames nobody needs any more
        self._backend.take(self._bank.latents[self._sampling.executed_steps], [last], self._backend.view(pair, 0, 1))
        self._backend.take(latents, [last], self._backend.view(pair, 1, 2))
        stack = {"latents": latents, "velocities": pair} | self._joining
        self._sessions["stitch"].run(stack, {"next_latents": joined})

    def _tie(self, latents: Buffer, step: int, kept: list[int], tied: bool) -> None:
        """Before `step`: the tied frames are what they were then, and the next window's are kept."""
        overlap = self.windows.overlap
        if not overlap:
            return
        if tied:
            self._backend.take(self._bank.latents[step], range(overlap), self._backend.view(latents, 0, overlap))
        self._backend.take(latents, kept, self._bank.latents[step])


def joining_matrix(windows: LiveWindows) -> np.ndarray:
    """(F, F) float32: of the heading's B and X'_O, the first two of a stack of F frames, what each frame is given."""
    matrix = np.zeros((windows.size, windows.size), np.float32)
    if windows.overlap:
        given = 1 - np.arange(windows.size - windows.overlap + 1) / (windows.size - windows.overlap + 1)
        matrix[windows.overlap - 1 :, :2] = given[:, None] * [1, -1]
    return matrix
