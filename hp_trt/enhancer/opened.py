"""A bundle of the enhancer, checked and opened."""

from __future__ import annotations

from engines.bundle import Bundle
from engines.errors import BundleError
from hp_trt.enhancer.networks import FACES, GRAPHS
from runtime.enhancer.presets import MODEL

BUILD = "python -m export.build_engines --preset enhancer_tiny --random-weights --bundle BUNDLE"


def roles_of(bundle: Bundle) -> dict[str, str]:
    """The graphs that the bundle has, by role.

    Raises BundleError for a bundle of another model, one without the upscaler, and one that has some of the three
    graphs that faces need and not all. Only the manifest is looked at.
    """
    model = bundle.manifest.model
    if model != MODEL:
        raise BundleError(
            f"{bundle.path} is for the model {model}, which animates; to enhance a video give a bundle of the "
            f"enhancer: {BUILD}"
        )
    roles = {role: graph for role, graph in GRAPHS.items() if graph in bundle}
    if "upscaler" not in roles:
        raise BundleError(
            f"{bundle.path} has no graph {GRAPHS['upscaler']}, without which nothing is enlarged; {BUILD}"
        )
    missing = [GRAPHS[role] for role in FACES if role not in roles]
    if missing and len(missing) < len(FACES):
        raise BundleError(
            f"{bundle.path} lacks {', '.join(missing)}, which restoring faces needs; build a bundle with all of "
            f"{', '.join(GRAPHS[role] for role in FACES)}, or with none, which enlarges alone"
        )
    return roles
