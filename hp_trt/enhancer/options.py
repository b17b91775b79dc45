"""What is chosen for an enhancement: how large, and which of its networks work. Checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.errors import InputError
from hp_trt.config import one_of
from hp_trt.enhancer.networks import FACES
from hp_trt.enhancer.pipeline import SCALES, Wanted
from hp_trt.interface import arguments

DEFAULT_FIDELITY = 0.5  # the released program's


@dataclass(frozen=True, kw_only=True)
class Options:
    """Raises InputError for values that cannot be, and for such that exclude each other. Of `Enhancer.enhance`."""

    scale: int = 2
    face_upsample: bool = False
    fidelity: float | None = None  # None: DEFAULT_FIDELITY
    repeat: bool = False
    released: bool = False
    restore: bool = True  # False: pictures are enlarged alone
    upscale: bool = True  # False: Lanczos enlarges, and faces alone are restored

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", int(one_of("scale", self.scale, SCALES)))
        for name in ("face_upsample", "repeat", "released", "restore", "upscale"):
            object.__setattr__(self, name, arguments.flag(name, getattr(self, name)))
        if self.fidelity is not None and not (  # no number too large for a float
            isinstance(self.fidelity, int | float | np.number) and 0 <= self.fidelity <= 1
        ):
            raise InputError(f"fidelity must be a number from 0 to 1, got {arguments.shown(self.fidelity)}")
        if self.released and self.repeat:
            raise InputError("the released program uses the upscaler once; leave repeat out, or released")
        if not self.restore and not self.upscale:
            raise InputError("without the restorer and without the upscaler there is nothing to do; leave one of them")
        if not self.restore and (stray := self.of_faces()):
            raise InputError(f"{', '.join(stray)}: only where faces are restored; leave it out, or restore them")
        of_upscaler = {"face_upsample": self.face_upsample, "repeat": self.repeat, "released": self.released}
        if not self.upscale and (stray := [name for name, given in of_upscaler.items() if given]):
            raise InputError(f"{', '.join(stray)}: only with the upscaler; leave it out, or take the upscaler")

    def of_faces(self) -> list[str]:
        """By name, what was given that needs a face restorer."""
        given = {
            "face_upsample": self.face_upsample,
            "fidelity": self.fidelity is not None,
            "released": self.released,
        }
        return [name for name, is_given in given.items() if is_given]

    def roles(self, there: tuple[str, ...]) -> tuple[str, ...]:
        """Which of the roles `there` work."""
        left_out = (*(() if self.restore else FACES), *(() if self.upscale else ("upscaler",)))
        return tuple(role for role in there if role not in left_out)

    def facts(self) -> dict[str, Any]:
        """What decides the frames, by name, as sidecars and unfinished runs say it."""
        return {**vars(self), "fidelity": self.wanted().fidelity}

    def wanted(self) -> Wanted:
        """For the pipeline."""
        return Wanted(
            scale=self.scale,
            face_upsample=self.face_upsample,
            fidelity=DEFAULT_FIDELITY if self.fidelity is None else float(self.fidelity),
            released=self.released,
        )
