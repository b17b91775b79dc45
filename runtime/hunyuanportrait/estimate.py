"""One window's velocity: by the whole denoiser, or by its two parts, of which the inner one is not asked every step.

The inner part's deep features belong to frames, as latents do. In a clip the windows slide from step to step, so what
is kept is kept frame by frame and gathered for each window; a frame of two windows has it from the later one. Live
windows do not slide: theirs are kept as they are.

    memory of the deep features     a clip: held frames * rows * C * h * w elements; live: a window's
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.errors import InputError
from runtime.hunyuanportrait.held import Held
from runtime.hunyuanportrait.sampling import Sampling


class Estimator:
    """Sessions by role: `denoiser`, and with it `inner` where the denoiser is the outer part.

    `slides`: whether a window is of other frames from step to step. Raises InputError for sampling that reuses deep
    features with a denoiser in one part.
    """

    def __init__(self, backend: Backend, sessions: Mapping[str, Session], sampling: Sampling, *, slides: bool) -> None:
        self._backend, self._slides = backend, slides
        self._outer, self._inner = sessions["denoiser"], sessions.get("inner")
        if self._inner is None and sampling.deep_every > 1:
            raise InputError(
                f"deep_every {sampling.deep_every} needs the denoiser in two parts, this profile has it in one; "
                "set deep_every in the profile"
            )
        self._fresh, self._length = sampling.fresh(), sampling.window
        self._window: dict[tuple[int, int], Buffer] = {}  # deep features of the windows at hand, by rows and slot
        self.kept: dict[int, Held[int]] = {}  # by rows: of frames, as their last window has made them

    def velocity(
        self,
        step: int,
        frames: Sequence[int],
        inputs: Mapping[str, Buffer],
        out: Buffer,
        *,
        last_of: Sequence[int] = (),
    ) -> None:
        """Write the guided velocity of a window to `out`. `frames`: which of the clip's, `inputs`: the denoiser's.

        `last_of`: the places in a window that slides at which none of the step's later windows has the frame.
        """
        self.prepared(step, frames, inputs, out)()
        self.keep(step, frames, inputs, last_of)

    def prepared(
        self, step: int, frames: Sequence[int], inputs: Mapping[str, Buffer], out: Buffer, *, slot: int = 0
    ) -> Callable[[], None]:
        """The part of `velocity` that runs graphs, which may be called beside that of another slot; then `keep`."""
        if self._inner is None:
            return lambda: _run(self._outer, inputs, "velocity", out)
        inner, fresh = self._inner, self._fresh[step]
        deep = self._of_window(inputs, slot)
        if self._slides and not fresh:
            self.kept[inputs["image_latents"].shape[0]].take(frames, deep)

        def run() -> None:
            if fresh:
                _run(inner, {tensor.name: inputs[tensor.name] for tensor in inner.spec.inputs}, "deep_features", deep)
            _run(self._outer, {**inputs, "deep_features": deep}, "velocity", out)

        return run

    def keep(
        self,
        step: int,
        frames: Sequence[int],
        inputs: Mapping[str, Buffer],
        last_of: Sequence[int] = (),
        *,
        slot: int = 0,
    ) -> None:
        """Keep what a window has made for the next step, if that wants it."""
        wanted = self._fresh[step] and not all(self._fresh[step + 1 : step + 2])
        if self._inner is not None and self._slides and wanted:
            rows = inputs["image_latents"].shape[0]
            self.kept_of(rows).put([frames[i] for i in last_of], self._of_window(inputs, slot), last_of)

    def kept_of(self, rows: int) -> Held[int]:
        """What is kept of frames that were seen in so many rows."""
        if rows not in self.kept:
            shape, dtype = self._features(rows)
            self.kept[rows] = Held(self._backend, shape, dtype, by=self._length)
        return self.kept[rows]

    def restore(self, rows: int, frames: Sequence[int], features: np.ndarray) -> None:
        """Keep deep features (k, rows, C, h, w) of frames again. Raises InputError for those of other networks."""
        if self._inner is None or (features.shape[1:], features.dtype.name) != self._features(rows):
            raise InputError(
                f"the unfinished run has deep features {features.shape} {features.dtype}, which this profile does not "
                "make: begin anew with --restart"
            )
        if frames:
            self.kept_of(rows).put(frames, self._backend.upload(features), range(len(frames)))

    def _features(self, rows: int) -> tuple[tuple[int, ...], str]:
        """Shape and dtype of one frame's."""
        assert self._inner is not None
        promised = self._inner.spec.output("deep_features")
        return (rows, *(int(dim) for dim in promised.dims[2:])), promised.dtype

    def let_go(self, frames: Iterable[int]) -> None:
        """Nobody will ask for these frames again."""
        gone = set(frames)
        for held in self.kept.values():
            held.drop([frame for frame in held.keys if frame in gone])

    def _of_window(self, inputs: Mapping[str, Buffer], slot: int) -> Buffer:
        rows, window = inputs["image_latents"].shape[0], inputs["latents"].shape[0]
        if (rows, slot) not in self._window:
            shape, dtype = self._features(rows)
            self._window[rows, slot] = self._backend.empty((window, *shape), dtype)
        return self._window[rows, slot]


def _run(session: Session, inputs: Mapping[str, Buffer], output: str, out: Buffer) -> None:
    session.run(inputs, {output: out})
