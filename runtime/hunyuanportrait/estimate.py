"""One window's velocity: by the whole denoiser, or by its two parts, of which the inner one is not asked every step.

The inner part's deep features belong to frames, as latents do. In a clip the windows slide from step to step, so what
is kept is kept frame by frame and gathered for each window; a frame of two windows has it from the later one. Live
windows do not slide: theirs are kept as they are.

    memory of the deep features     a clip: frames * rows * C * h * w elements; live: a window's
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from engines.backend import Backend, Buffer, Session
from engines.errors import InputError
from runtime.hunyuanportrait.sampling import Sampling


class Estimator:
    """Sessions by role: `denoiser`, and with it `inner` where the denoiser is the outer part.

    `clip_frames`: how many there are for the windows to slide over; None where they do not slide. Raises InputError for
    sampling that reuses deep features with a denoiser in one part.
    """

    def __init__(
        self, backend: Backend, sessions: Mapping[str, Session], sampling: Sampling, *, clip_frames: int | None
    ) -> None:
        self._backend, self._clip_frames = backend, clip_frames
        self._outer, self._inner = sessions["denoiser"], sessions.get("inner")
        if self._inner is None and sampling.deep_every > 1:
            raise InputError(
                f"deep_every {sampling.deep_every} needs the denoiser in two parts, this profile has it in one; "
                "set deep_every in the profile"
            )
        self._fresh = sampling.fresh()
        self._window: Buffer | None = None  # deep features of the window at hand
        self._kept: Buffer | None = None  # of every frame

    def velocity(self, step: int, frames: Sequence[int], inputs: Mapping[str, Buffer], out: Buffer) -> None:
        """Write the guided velocity of a window to `out`. `frames`: which of the clip's, `inputs`: the denoiser's."""
        if self._inner is None:
            self._outer.run(inputs, {"velocity": out})
            return
        deep, kept = self._buffers(self._inner, inputs)
        slides = kept is not deep
        if self._fresh[step]:
            seen = {tensor.name: inputs[tensor.name] for tensor in self._inner.spec.inputs}
            self._inner.run(seen, {"deep_features": deep})
            if slides and not all(self._fresh[step + 1 : step + 2]):  # the next step wants them
                for run in _runs(frames):
                    first = frames[run.start]
                    self._backend.take(deep, run, self._backend.view(kept, first, first + len(run)))
        elif slides:
            self._backend.take(kept, frames, deep)
        self._outer.run({**inputs, "deep_features": deep}, {"velocity": out})

    def _buffers(self, inner: Session, inputs: Mapping[str, Buffer]) -> tuple[Buffer, Buffer]:
        """For the rows at hand. Rows change only where features are fresh, so nothing is lost with the old ones."""
        window, rows = inputs["latents"].shape[0], inputs["image_latents"].shape[0]
        if self._window is None or self._window.shape[1] != rows:
            promised = inner.spec.output("deep_features")
            shape = (rows, *(int(dim) for dim in promised.dims[2:]))
            self._kept = None  # its memory first
            self._window = self._backend.empty((window, *shape), promised.dtype)
            if self._clip_frames is None or all(self._fresh):
                self._kept = self._window
            else:
                self._kept = self._backend.empty((self._clip_frames, *shape), promised.dtype)
        assert self._kept is not None
        return self._window, self._kept


def _runs(frames: Sequence[int]) -> Iterator[range]:
    """Places in `frames` where one follows the other by one, as long as they do."""
    breaks = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(frames)) if b != a + 1), len(frames)]
    return (range(a, b) for a, b in pairwise(breaks))
