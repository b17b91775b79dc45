"""Every number that steers sampling, checked once, when it is made.

The defaults are those of the released configuration (SPEC 8). A bundle carries its own, and a caller overrides any of
them by name.

There is no `skip_last` here. The first model skips a last noise level of 0.002, where a whole evaluation removes next
to nothing; these steps are spaced evenly over the training's thousand, and the last of forty still stands at t = 24.
Whoever wants fewer evaluations takes fewer steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from engines.fields import shown
from runtime.hallo2 import ddim
from runtime.hallo2.presets import MOODS
from runtime.sampling_options import check, finite, is_number, with_overrides


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the clips of a video are denoised."""

    steps: int = 40
    guidance: float = 3.5  # g of v = v_u + g (v_c - v_u); at 1 only the conditional half counts
    motion_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of what sound moves: pose, face, lips
    mask_rate: float = 0.25  # share of the motion frames' pixels that are dropped outside of the face
    seed: int = 42  # one generator for the whole video
    decode_chunk: int = 8  # frames decoded together
    scaling_factor: float = 0.18215  # of the autoencoder's latents
    join: bool = False  # each clip begins where the one before was going: `joint`; the released program has none of it
    mood_weights: tuple[float, ...] | None = None  # how much of each of MOODS; None: neutral, where the net knows any

    def __post_init__(self) -> None:
        for name, (low, high) in _WHOLE_NUMBERS.items():
            value: Any = getattr(self, name)
            check(
                is_number(value, Integral) and value >= low,
                f"{name} needs a whole number of at least {low}, got {shown(value)}",
            )
            check(value <= high, f"{name} can be at most {high}, got {shown(value)}{_WHY_NOT_MORE.get(name, '')}")
            object.__setattr__(self, name, int(value))
        for name in ("guidance", "mask_rate", "scaling_factor"):
            value = getattr(self, name)
            check(finite(value), f"{name} needs a finite number, got {shown(value)}")
            object.__setattr__(self, name, float(value))
        check(
            1 <= self.guidance <= _MOST_GUIDANCE,
            f"guidance can be 1 to {_MOST_GUIDANCE}, got {shown(self.guidance)}; 1 is the conditional half alone, and "
            "below it sound and face would be pushed away from; 3.5 is the released choice",
        )
        check(isinstance(self.join, bool), f"join needs true or false, got {shown(self.join)}")
        weights: Any = self.motion_weights
        check(
            isinstance(weights, tuple | list) and len(weights) == 3 and all(finite(w) for w in weights),
            f"motion_weights needs three numbers, for pose, face and lips, got {shown(weights)}",
        )
        check(
            all(abs(w) <= _MOST_WEIGHT for w in weights),
            f"motion_weights can be {-_MOST_WEIGHT} to {_MOST_WEIGHT}, got {shown(weights)}; 1 is the released choice",
        )
        object.__setattr__(self, "motion_weights", tuple(float(w) for w in weights))
        if (moods := self.mood_weights) is not None:
            check(
                isinstance(moods, tuple | list) and len(moods) == len(MOODS) and all(finite(w) for w in moods),
                f"mood_weights needs {len(MOODS)} numbers, of {', '.join(MOODS)}, got {shown(moods)}",
            )
            check(all(0 <= w <= 1 for w in moods), f"mood_weights can be 0 to 1 each, got {shown(moods)}")
            object.__setattr__(self, "mood_weights", tuple(float(w) for w in moods))
        for name, (least, most) in _NUMBERS.items():
            value = getattr(self, name)
            check(least <= value <= most, f"{name} must be {least:g} to {most:g}, got {shown(value)}")

    @property
    def row_weights(self) -> tuple[float, float]:
        """Of the unconditional and the conditional half: their weighted sum is the guided velocity."""
        return (1 - self.guidance, self.guidance)

    @classmethod
    def from_manifest(cls, defaults: Mapping[str, Any], **overrides: Any) -> Sampling:
        """A bundle's defaults with the caller's overrides; an override of None is not one.

        Raises InputError for a name that does not exist, with the nearest that does.
        """
        return with_overrides(cls, defaults, overrides)


# A number beyond these is a slip: it would wait for ever, take all memory, or make infinity of every picture.
_MOST_GUIDANCE = 1000
_MOST_WEIGHT = 1000
_WHOLE_NUMBERS = {  # name -> least, most
    "steps": (1, ddim.TRAINED_STEPS),
    "seed": (0, 2**32 - 1),
    "decode_chunk": (1, 10_000),
}
_WHY_NOT_MORE = {
    "steps": "; the network was trained with so many noise levels, 40 is the released choice",
    "seed": "; the generator, MT19937, is seeded with one number of 32 bits, as the released program's is",
}
_NUMBERS = {"mask_rate": (0, 1), "scaling_factor": (1e-6, 1e6)}  # likewise
