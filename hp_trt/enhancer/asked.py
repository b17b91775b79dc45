"""What can be said of an enhancement before a graph is opened: whether its options can be, its terms, whether it fits.

Of the bundle only the manifest is looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.config import one_of
from hp_trt.enhancer.memory import check_memory, predicted_bytes
from hp_trt.enhancer.opened import lacking, roles_of
from hp_trt.enhancer.pipeline import SCALES, Wanted, result_size
from hp_trt.enhancer.terms import terms_of
from hp_trt.interface import arguments

DEFAULT_FIDELITY = 0.5  # the released program's


def notes_of(bundle: Bundle) -> tuple[str, ...]:
    """What a user should know before the bundle is used, a line each: terms of its weights, and what it lacks."""
    terms = terms_of(bundle.manifest, tuple(roles_of(bundle)))
    if not (missing := lacking(bundle)):
        return terms
    return (*terms, f"no face is restored, pictures are enlarged alone: the bundle has no {', '.join(missing)}")


def wanted_of(
    bundle: Bundle,
    scale: Any,
    face_upsample: Any = False,
    fidelity: Any = None,
    repeat: Any = False,
    released: Any = False,
) -> Wanted:
    """The options of `Enhancer.enhance`, checked. Raises InputError for what cannot be, with this bundle or at all."""
    one_of("scale", scale, SCALES)
    flags = {"face_upsample": face_upsample, "repeat": repeat, "released": released}
    flags = {name: arguments.flag(name, value) for name, value in flags.items()}
    if fidelity is not None and not (
        isinstance(fidelity, int | float | np.number) and 0 <= fidelity <= 1  # no number too large for a float
    ):
        raise InputError(f"fidelity must be a number from 0 to 1, got {arguments.shown(fidelity)}")
    of_faces = {"face_upsample": face_upsample, "fidelity": fidelity is not None, "released": released}
    if lacking(bundle) and (stray := [name for name, given in of_faces.items() if given]):
        raise InputError(
            f"{', '.join(stray)}: only with a face restorer, {bundle.path} has none and enlarges alone; leave it out, "
            "or give a bundle with one"
        )
    if released and repeat:
        raise InputError("the released program uses the upscaler once; leave repeat out, or released")
    return Wanted(
        scale=int(scale),
        face_upsample=flags["face_upsample"],
        fidelity=DEFAULT_FIDELITY if fidelity is None else float(fidelity),
        released=flags["released"],
    )


def check_fits(
    name: object,
    size: tuple[int, int],
    bundle: Bundle,
    wanted: Wanted,
    *,
    writes: bool,
    held_bytes: int = 0,
    available: int | None = None,
) -> None:
    """Raises InputError where a video of `size`, its width and height, would take more memory than is free, or be
    larger than can be encoded. `writes`: whether it is; `held_bytes`: what the caller keeps of it; `available`:
    bytes; None: what this machine has free."""
    result = result_size(*size, scale=wanted.scale, released=wanted.released)
    needed = predicted_bytes(
        *size,
        result=result,
        writes=writes,
        restores=not lacking(bundle),
        weights_bytes=sum(bundle.manifest.graphs[graph].weights_bytes for graph in roles_of(bundle).values()),
    )
    check_memory(name, needed + held_bytes, result, available)
