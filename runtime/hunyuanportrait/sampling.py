"""Every number that steers sampling, checked once, when it is made.

The defaults are those of the released configuration (SPEC 10). A bundle carries its own, and a caller
overrides any of them by name.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from engines.errors import InputError
from engines.fields import shown
from runtime import schedule
from runtime.hunyuanportrait import guidance
from runtime.hunyuanportrait.guidance import StepGuidance
from runtime.sampling_options import check, finite, is_number, with_overrides


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a clip is denoised. A guidance pair is (first, last): a ramp over the executed steps."""

    steps: int = 25
    schedule: str = "karras"  # of the noise levels, one of `runtime.schedule.SCHEDULES`
    skip_last: int = 0  # so many of the last noise levels are not stepped on: the step before them goes to the end
    deep_every: int = 1  # steps that share the UNet's deep features; above 1 needs the denoiser in two parts
    strength: float = 1.0  # in (0, 1]; below 1 the first steps are skipped and the portrait shows through
    window: int = 25  # frames denoised together: the F a bundle was built for
    overlap: int = 3  # frames shared by neighbouring windows
    shift: int = 3  # frames by which all windows slide from step to step
    pad_frames: int = 15  # made up before and after the clip, thrown away after decoding
    guidance_appearance: tuple[float, float] = (2.0, 2.0)
    guidance_motion: tuple[float, float] = (2.0, 2.0)
    guidance_interval: tuple[float, float] | None = None  # sigmas between which guidance is used; None: at all
    noise_aug_strength: float = 0.0
    decode_chunk: int = 8  # frames decoded together
    fps: float = 12.5  # a condition of the network, not the output's frame rate
    motion_bucket_id: int = 0
    seed: int = 72580
    scaling_factor: float = 0.18215  # of the autoencoder's latents

    def __post_init__(self) -> None:
        for name in ("guidance_appearance", "guidance_motion"):
            pair = getattr(self, name)
            check(
                isinstance(pair, tuple | list) and len(pair) == 2 and all(finite(g) for g in pair),
                f"{name} needs two numbers, for the first and the last step, got {shown(pair)}",
            )
            check(
                all(abs(g) <= _MOST_GUIDANCE for g in pair),
                f"{name} can be {-_MOST_GUIDANCE} to {_MOST_GUIDANCE}, got {shown(pair)}; 2 is the released choice",
            )
            object.__setattr__(self, name, (float(pair[0]), float(pair[1])))
        if self.guidance_interval is not None:
            pair = self.guidance_interval
            check(
                isinstance(pair, tuple | list)
                and len(pair) == 2
                and all(finite(s) for s in pair)
                and pair[0] < pair[1],
                f"guidance_interval needs two noise levels, the lower one first, got {shown(pair)}",
            )
            object.__setattr__(self, "guidance_interval", (float(pair[0]), float(pair[1])))
        if not isinstance(self.schedule, str) or self.schedule not in schedule.SCHEDULES:
            near = difflib.get_close_matches(str(self.schedule)[:100], schedule.SCHEDULES, n=1)
            hint = f"did you mean {near[0]}? There" if near else "there"
            raise InputError(
                f"there is no schedule {shown(self.schedule)}; {hint} are: {', '.join(schedule.SCHEDULES)}"
            )
        for name, (low, high) in _WHOLE_NUMBERS.items():
            value: Any = getattr(self, name)
            check(
                is_number(value, Integral) and value >= low,
                f"{name} needs a whole number of at least {low}, got {shown(value)}",
            )
            why = "; the network was trained with so many noise levels, 25 is the released choice" * (name == "steps")
            check(value <= high, f"{name} can be at most {high}, got {shown(value)}{why}")
            object.__setattr__(self, name, int(value))
        for name in ("strength", "noise_aug_strength", "fps", "scaling_factor"):
            check(finite(getattr(self, name)), f"{name} needs a finite number, got {shown(getattr(self, name))}")
            object.__setattr__(self, name, float(getattr(self, name)))
        check(0 < self.strength <= 1, f"strength must be above 0 and at most 1, got {self.strength}")
        check(
            self.skip_last < self.steps,
            f"skip_last {self.skip_last} of {self.steps} steps leaves none to execute; lower it, or take more steps",
        )
        check(
            self.executed_steps >= 1,
            f"strength {self.strength} of {self.steps} steps leaves none to execute; "
            f"needs at least {(1 + self.skip_last) / self.steps:.3g}, or more steps",
        )
        check(
            self.overlap < self.window,
            f"overlap must be shorter than the window, got {self.overlap} of {self.window}; lower the overlap",
        )
        for name, (least, most) in _NUMBERS.items():
            value = getattr(self, name)
            check(least <= value <= most, f"{name} must be {least:g} to {most:g}, got {shown(value)}")

    @property
    def executed_steps(self) -> int:
        """S: the steps really executed, fewer than `steps` when strength < 1 (SPEC 5) or the last are skipped."""
        return self._started - self.skip_last

    def sigmas(self) -> np.ndarray:
        """The noise level before each executed step, and a last 0: (S + 1,) float32."""
        levels = schedule.executed(schedule.SCHEDULES[self.schedule](self.steps), self._started)
        return schedule.without_last(levels, self.skip_last)

    def guidance(self) -> list[StepGuidance]:
        """What each executed step runs."""
        low, high = self.guidance_interval or (0.0, math.inf)
        guided = [low <= sigma <= high for sigma in self.sigmas()[:-1]]
        return guidance.rows_of_steps(
            self.guidance_appearance, self.guidance_motion, self.executed_steps, guided=guided
        )

    def fresh(self) -> list[bool]:
        """Whether each executed step makes deep features, or takes those of the last step that did: one of the same
        rows, at most `deep_every` - 1 steps ago."""
        found: list[bool] = []
        since, rows = 0, None
        for step in self.guidance():
            since += 1
            found.append(since >= self.deep_every or step.rows != rows)
            if found[-1]:
                since, rows = 0, step.rows
        return found

    @property
    def _started(self) -> int:
        return min(int(self.steps * self.strength), self.steps)

    @classmethod
    def from_manifest(cls, defaults: Mapping[str, Any], **overrides: Any) -> Sampling:
        """A bundle's defaults with the caller's overrides; an override of None is not one.

        Raises InputError for a name that does not exist, with the nearest that does.
        """
        return with_overrides(cls, defaults, overrides)


# A number beyond these is a slip: it would wait for ever, take all memory, or make infinity of every picture.
_MOST_GUIDANCE = 1000
_WHOLE_NUMBERS = {  # name -> least, most
    "steps": (1, 1000),
    "skip_last": (0, 1000),
    "deep_every": (1, 1000),
    "window": (1, 10_000),
    "overlap": (0, 10_000),
    "shift": (0, 10_000),
    "pad_frames": (0, 1000),  # each has motion tokens of its own
    "decode_chunk": (1, 10_000),
    "motion_bucket_id": (0, 1_000_000),
    "seed": (0, 2**64 - 1),
}
_NUMBERS = {  # likewise; strength has a check of its own
    "noise_aug_strength": (0, 700),
    "fps": (1e-3, 1e6),
    "scaling_factor": (1e-6, 1e6),
}
