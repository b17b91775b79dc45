"""The card of a bundle of the enhancer (`hp_trt.interface.model_card`): what may not be sold is said first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engines.bundle import Bundle
from engines.manifest import OWN_SOURCE, Manifest
from hp_trt.enhancer.opened import roles_of
from hp_trt.enhancer.terms import terms_of
from hp_trt.interface.model_card import INSPECT, RANDOM, TRAINED, Words, card_of, licence_of_own, table

# As NOTICE says it, of what has no note of its own.
_OTHERS = "The upscaler, the face parser and the face detector: terms of their own. Read them where you download them."


def card_text(bundle: Bundle) -> str:
    """The card of an opened bundle of the enhancer: Markdown with a front matter. Raises BundleError for another."""
    restores = "restorer" in roles_of(bundle)
    manifest = bundle.manifest
    return card_of(
        bundle,
        Words(
            known=_known(manifest, restores),
            licence=_licence(manifest, tuple(roles_of(bundle))),
            what_it_is=_what_it_is(manifest, restores),
            use=(
                INSPECT,
                "hp-trt enhance talk.mp4 --bundle {bundle} --scale 2 --out big.mp4",
                "hp-trt verify big.mp4       # what the result says of its origin",
            ),
            limits=tuple(_limits(manifest, restores)),
        ),
    )


def _known(manifest: Manifest, restores: bool) -> dict[str, Any]:
    kind, faces = manifest.weights["kind"], ["face-restoration"] if restores else []
    known: dict[str, Any] = {"license": "other"}
    if kind == "published":
        known["license_name"] = "s-lab-license-1.0-non-commercial" if restores else "terms-of-its-own"
    elif kind == "random":
        known["license_name"] = RANDOM
    elif manifest.weights["source"] == OWN_SOURCE:
        known["license"] = "apache-2.0"
    else:
        known["license_name"] = TRAINED
    tags = ["super-resolution", *faces, "onnx", manifest.model, manifest.precision]
    return known | {"pipeline_tag": "video-to-video", "tags": tags}


def _licence(manifest: Manifest, roles: tuple[str, ...]) -> str:
    """What is read first."""
    if manifest.weights["kind"] != "published":
        return licence_of_own(manifest)
    restores = "restorer" in roles
    head = "**For non-commercial use only.**" if restores else "**Licence: that of the published weights.**"
    told = [line.removeprefix("licence: ") for line in terms_of(manifest, roles)] if restores else []
    terms = "\n".join(f"- {text[:1].upper()}{text[1:]}" for text in (*told, _OTHERS))
    return (
        f"{head} This bundle contains published weights and falls under their terms, which whoever passes it on passes "
        f"on too:\n\n{terms}"
    )


def _what_it_is(manifest: Manifest, restores: bool) -> str:
    face_px = manifest.size[0]
    faces = f"restored, at {face_px} x {face_px} pixels, {manifest.frames} frames together"
    rows = {
        "what it does": "videos of any size become 2, 4 or 8 times as wide and high",
        "the face": faces if restores else "is not restored, pictures are enlarged alone",
        "precision": manifest.precision,
        "weights": f"{manifest.weights['kind']}: {manifest.weights['source']}",
    }
    return f"The {manifest.model} as ONNX graphs for hp-trt, which runs them without PyTorch.\n\n{table(rows)}"


def _limits(manifest: Manifest, restores: bool) -> Iterator[str]:
    if manifest.weights["source"] == OWN_SOURCE:
        yield "It knows drawn people alone: nothing says that of a photograph it makes more than a bicubic filter."
    if restores:
        yield "A restored face is the network's idea of it, one face a frame: details may be of nobody."
    yield "What hp-trt writes says that it was generated: an invisible mark, Content Credentials, a sidecar."
