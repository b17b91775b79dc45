"""What is asked of an enhancement, checked once, before anything is opened."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.errors import InputError
from hp_trt.config import one_of
from hp_trt.enhancer.pipeline import SCALES, Wanted
from hp_trt.interface import arguments

DEFAULT_FIDELITY = 0.5  # the released program's


def wanted_of(
    *, scale: Any, face_upsample: Any, fidelity: Any, repeat: Any, released: Any, restores: bool, bundle: object
) -> Wanted:
    """The options of `hp_trt.Enhancer.enhance` as the pipeline has them. Raises InputError.

    `restores`: whether the bundle restores faces; `bundle`: what the message calls it.
    """
    one_of("scale", scale, SCALES)
    flags = {"face_upsample": face_upsample, "repeat": repeat, "released": released}
    flags = {name: arguments.flag(name, value) for name, value in flags.items()}
    if fidelity is not None and not (
        isinstance(fidelity, int | float | np.number) and 0 <= fidelity <= 1  # no number too large for a float
    ):
        raise InputError(f"fidelity must be a number from 0 to 1, got {arguments.shown(fidelity)}")
    of_faces = {"face_upsample": face_upsample, "fidelity": fidelity is not None, "released": released}
    if not restores and (stray := [name for name, given in of_faces.items() if given]):
        raise InputError(
            f"{', '.join(stray)}: only with a face restorer, {bundle} has none and enlarges alone; leave it out, or "
            "give a bundle with one"
        )
    if released and repeat:
        raise InputError("the released program uses the upscaler once; leave repeat out, or released")
    return Wanted(
        scale=int(scale),
        face_upsample=flags["face_upsample"],
        fidelity=DEFAULT_FIDELITY if fidelity is None else float(fidelity),
        released=flags["released"],
    )
