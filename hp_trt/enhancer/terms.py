"""Under which terms the enhancer's weights may be used: told before they are."""

from __future__ import annotations

from collections.abc import Collection

from engines.manifest import OWN_SOURCE, Manifest

RESTORER = "the face restorer derives from CodeFormer (S-Lab License 1.0): for non-commercial use only"


def terms_of(manifest: Manifest, roles: Collection[str]) -> tuple[str, ...]:
    """What to tell before a bundle with the graphs of these roles is used, a line each."""
    kind, source = manifest.weights.get("kind"), manifest.weights.get("source")
    if kind == "random":
        return ("the weights are random numbers: faces and pictures will be noise, for trying alone",)
    if kind == "trained" and source == OWN_SOURCE:
        return ("the weights came with hp-trt, trained on drawn people: Apache-2.0",)
    told = [f"licence: {RESTORER}"] if "restorer" in roles else []
    others = ", ".join(role for role in roles if role != "restorer")
    return (*told, f"licence: of {others} whatever their files came with; hp-trt ships none of them")


def licence_of(manifest: Manifest, roles: Collection[str]) -> str:
    """The same in a sidecar's words."""
    return "; ".join(line.removeprefix("licence: ") for line in terms_of(manifest, roles))
