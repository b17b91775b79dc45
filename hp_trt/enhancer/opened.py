"""A bundle of the enhancer, checked and opened."""

from __future__ import annotations

from engines.bundle import Bundle
from engines.errors import BundleError
from hp_trt.enhancer.networks import FACES, GRAPHS
from hp_trt.enhancer.terms import terms_of
from runtime.enhancer.presets import MODEL

BUILD = "python -m export.build_engines --preset enhancer_tiny --random-weights --bundle BUNDLE"


def roles_of(bundle: Bundle) -> dict[str, str]:
    """The graphs that are used of the bundle, by role: all four, or the upscaler alone where one of the others lacks.

    Raises BundleError for a bundle of another model, and for one without the upscaler. Only the manifest is looked at.
    """
    model = bundle.manifest.model
    if model != MODEL:
        raise BundleError(
            f"{bundle.path} is for the model {model}, which animates; to enhance a video give a bundle of the "
            f"enhancer: {BUILD}"
        )
    if GRAPHS["upscaler"] not in bundle:
        raise BundleError(
            f"{bundle.path} has no graph {GRAPHS['upscaler']}, without which nothing is enlarged: {BUILD}"
        )
    used = ("upscaler",) if lacking(bundle) else tuple(GRAPHS)
    return {role: GRAPHS[role] for role in used}


def lacking(bundle: Bundle) -> tuple[str, ...]:
    """The graphs that restoring faces needs and the bundle has not."""
    return tuple(GRAPHS[role] for role in FACES if GRAPHS[role] not in bundle)


def notes_of(bundle: Bundle) -> tuple[str, ...]:
    """What a user should know before the bundle is used, a line each: terms of its weights, and what it lacks.

    Raises as `roles_of`.
    """
    terms = terms_of(bundle.manifest, tuple(roles_of(bundle)))
    if not (missing := lacking(bundle)):
        return terms
    return (*terms, f"no face is restored, pictures are enlarged alone: the bundle has no {', '.join(missing)}")
