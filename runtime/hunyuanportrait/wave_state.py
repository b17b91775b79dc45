"""All that a clip's loop knows between two groups of frames: with it a clip goes on where it was broken off.

Noise is not in it, because frame and seed say it, nor is what can be counted again. Frames are of the padded clip.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.errors import InputError
from runtime.hunyuanportrait.windows import Windows

_DEEP = re.compile(r"deep_([1-9])")


@dataclass(frozen=True, kw_only=True, eq=False)
class WaveState:
    """The frames that have begun and were not let go of, and what waits for another window of theirs."""

    gone: int  # the frames before this one are let go of
    frames: np.ndarray  # (n,) int64: the others that have begun
    levels: np.ndarray  # (n,) int64: steps that are done with each
    latents: np.ndarray  # (n, 4, h, w) float32
    waiting: np.ndarray  # (m, 3) int64: frame, window and place of velocities that wait
    velocities: np.ndarray  # (m, 4, h, w) float32
    deep: Mapping[int, tuple[np.ndarray, np.ndarray]]  # by rows: frames (k,) int64 and features (k, rows, C, h, w)

    def arrays(self) -> dict[str, np.ndarray]:
        """By name, for a file."""
        own = {name: getattr(self, name) for name in _ARRAYS}
        frames = {f"deep_{rows}_frames": frames for rows, (frames, _) in self.deep.items()}
        return own | frames | {f"deep_{rows}": features for rows, (_, features) in self.deep.items()}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], gone: int) -> WaveState:
        """Of what `arrays` gave. Raises InputError for other names."""
        rows = [int(found[1]) for name in arrays if (found := _DEEP.fullmatch(name))]
        deep = {f"deep_{r}{ending}" for r in rows for ending in ("", "_frames")}
        if set(arrays) != deep | set(_ARRAYS):
            raise InputError(f"the unfinished run has a state of {', '.join(sorted(arrays))[:200]}: {_ANEW}")
        return cls(
            gone=gone,
            deep={r: (arrays[f"deep_{r}_frames"], arrays[f"deep_{r}"]) for r in rows},
            **{name: arrays[name] for name in _ARRAYS},
        )

    def check(self, layouts: Sequence[Windows], cell: Sequence[int]) -> None:
        """Hold it against a clip. Raises InputError for what cannot be a state of its loop."""
        n, m = len(self.frames), len(self.waiting)
        whole = {"frames": (n,), "levels": (n,), "waiting": (m, 3)}
        real = {"latents": (n, *cell), "velocities": (m, *cell)}
        for kind, shapes in (("int64", whole), ("float32", real)):
            for name, shape in shapes.items():
                array = getattr(self, name)
                if array.dtype.name != kind or array.shape != shape:
                    raise InputError(
                        f"the unfinished run has {name} {array.shape} {array.dtype}, this clip needs {shape} {kind}: "
                        + _ANEW
                    )
        total, level = layouts[0].frames, dict(zip(self.frames.tolist(), self.levels.tolist(), strict=True))
        fits = len(level) == n and all(0 <= t < total and 0 <= s <= len(layouts) for t, s in level.items())
        fits = fits and 0 <= self.gone <= total
        for frame, window, place in self.waiting.tolist() if fits else ():
            step = level.get(frame, len(layouts))
            fits = fits and step < len(layouts) and (window, place) in layouts[step].holding(frame)
        fits = fits and all(
            frames.ndim == 1 and set(frames.tolist()) <= set(level) and features.shape[:2] == (len(frames), rows)
            for rows, (frames, features) in self.deep.items()
        )
        if not fits or not all(np.isfinite(array).all() for array in (self.latents, self.velocities)):
            raise InputError(f"the unfinished run has a state that is none of this clip's: {_ANEW}")


_ARRAYS = ("frames", "levels", "latents", "waiting", "velocities")
_ANEW = "begin anew with --restart"
