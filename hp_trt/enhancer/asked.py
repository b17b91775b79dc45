"""What can be said of an enhancement before a graph is opened: whether its options can be, its terms, whether it fits.

Of the bundle only the manifest is looked at.
"""

from __future__ import annotations

from typing import Any

from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.enhancer.memory import check_memory, predicted_bytes
from hp_trt.enhancer.opened import lacking, roles_of
from hp_trt.enhancer.options import Options
from hp_trt.enhancer.pipeline import result_size
from hp_trt.enhancer.terms import terms_of

EVERYTHING = Options()


def used_roles(bundle: Bundle, options: Options = EVERYTHING) -> dict[str, str]:
    """The graphs that work, by role. Raises BundleError for a bundle of another model."""
    roles = roles_of(bundle)
    return {role: roles[role] for role in options.roles(tuple(roles))}


def notes_of(bundle: Bundle, options: Options = EVERYTHING) -> tuple[str, ...]:
    """What a user should know before the bundle is used, a line each: terms of the weights that work, and what it
    lacks. Raises BundleError for a bundle of another model."""
    terms = terms_of(bundle.manifest, tuple(used_roles(bundle, options)))
    if not (missing := lacking(bundle)):
        return terms
    return (*terms, f"no face is restored, pictures are enlarged alone: the bundle has no {', '.join(missing)}")


def options_for(bundle: Bundle, *, called: object = None, **given: Any) -> Options:
    """The options of `Enhancer.enhance`, checked. `called`: what a message calls the bundle; None: its path.

    Raises InputError for what cannot be, with this bundle or at all.
    """
    options = Options(**given)
    stray = [*options.of_faces(), *([] if options.upscale else ["without the upscaler"])]
    if stray and lacking(bundle):
        raise InputError(
            f"{', '.join(stray)}: only with a face restorer, {called or bundle.path} has none and enlarges alone; "
            "leave it out, or give a bundle with one"
        )
    return options


def check_fits(
    name: object,
    size: tuple[int, int],
    bundle: Bundle,
    options: Options,
    *,
    writes: bool,
    held_bytes: int = 0,
    available: int | None = None,
) -> None:
    """Raises InputError where a video of `size`, its width and height, would take more memory than is free, or be
    larger than can be encoded. `writes`: whether it is; `held_bytes`: what the caller keeps of it; `available`:
    bytes; None: what this machine has free."""
    result = result_size(*size, scale=options.scale, released=options.released)
    roles = used_roles(bundle, options)
    needed = predicted_bytes(
        *size,
        result=result,
        writes=writes,
        restores="restorer" in roles,
        weights_bytes=sum(bundle.manifest.graphs[graph].weights_bytes for graph in roles.values()),
    )
    check_memory(name, needed + held_bytes, result, available)
