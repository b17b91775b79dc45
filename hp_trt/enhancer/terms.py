"""Under which terms the enhancer's weights may be used: told before they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from engines.manifest import OWN_SOURCE, Manifest

_RESTORER = "the face restorer derives from CodeFormer, S-Lab License 1.0: for non-commercial use only"


def terms_of(manifest: Manifest, roles: Collection[str]) -> tuple[str, ...]:
    """What to tell before a bundle is used of which the graphs of these roles are, a line each."""
    kind, source = manifest.weights.get("kind"), manifest.weights.get("source")
    if kind == "random":
        return ("the weights are random numbers: what is made is noise, for trying alone",)
    if kind == "trained" and source == OWN_SOURCE:
        return ("licence: Apache-2.0, of weights that came with hp-trt, trained on drawn people",)
    said = manifest.weights.get("licences")  # of the build, which has seen the files
    told = [str(text) for network, text in said.items() if network in roles] if isinstance(said, Mapping) else []
    if "restorer" in roles and not any("non-commercial" in text for text in told):
        told.insert(0, _RESTORER)
    return tuple(f"licence: {text}" for text in told) or ("licence: that of whoever trained the weights",)


def licence_of(manifest: Manifest, roles: Collection[str]) -> str:
    """The same in a sidecar's words."""
    return "; ".join(line.removeprefix("licence: ") for line in terms_of(manifest, roles))
