"""The README that a model hub expects beside a bundle: its card, licence first, all of it from the manifest.

The front matter is what hubs sort and filter by. Names of a bundle's own stand in it as text, and no path of the
machine that built it does.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from engines.bundle import Bundle
from engines.errors import bounded
from engines.manifest import OWN_SOURCE, Manifest, came_with_us
from hp_trt.interface.render import RATE
from hp_trt.interface.sealing import licence
from hp_trt.models import driver_of, find_model
from hp_trt.provenance.sidecar import without_folders

MARK = "<!-- Written by hp-trt card"  # by which it knows its own
# As NOTICE says it: of whom the weights are that a model was published with.
_TERMS: Mapping[str, tuple[str, ...]] = {
    "hunyuanportrait": (
        "HunyuanPortrait (Tencent): for academic, research and education purposes only; no commercial or production "
        "use.",
        "Stable Video Diffusion (Stability AI), from which its UNet and VAE derive: SVD Non-Commercial Community "
        "License Agreement of November 21, 2023.",
    ),
    "hallo2": (
        "Hallo2 (Fudan Generative AI Lab): MIT for its own; its weights derive from Stable Diffusion 1.5 (CreativeML "
        "OpenRAIL-M) and AnimateDiff, its autoencoder is sd-vae-ft-mse, its speech encoder wav2vec 2.0 of Meta AI.",
        "It is used with the face network glintr100 (InsightFace), which is for research only.",
    ),
}
_RESEARCH_ONLY = "**For academic research only: no commercial or production use.**"


def card_text(bundle: Bundle) -> str:
    """The card of an opened bundle: Markdown with a front matter. Raises BundleError for a model that is not known."""
    find_model(bundle)
    manifest = bundle.manifest
    name = f"shipped:{manifest.preset}" if came_with_us(manifest.to_json()) else bundle.path.resolve().name
    parts = (
        _front_matter(manifest),
        f"{_licence(manifest)}\n",
        f"{MARK} of the bundle {manifest.to_json()['sha256']}. -->\n",
        f"# {_plain(manifest.preset)}\n\n{_what_it_is(manifest)}\n",
        f"## Use\n\n{_use(manifest, name)}\n",
        f"## Sizes\n\n{_sizes(manifest)}\n",
        f"## Where it comes from\n\n{_origin(manifest)}\n",
        "## Limits\n\n" + "\n".join(f"- {text}" for text in _limits(manifest)) + "\n",
    )
    return "\n".join(parts)


def _front_matter(manifest: Manifest) -> str:
    """YAML, of which JSON's texts and lists are a part."""
    known: dict[str, Any] = {}
    words = licence(manifest.weights)
    if words == "Apache-2.0":
        known["license"] = "apache-2.0"
    else:
        kind = str(manifest.weights["kind"])
        names = {"published": "academic-research-only", "random": "random-numbers"}
        known |= {"license": "other", "license_name": names.get(kind, "of-whoever-trained-it")}
    known |= {"library_name": "hp-trt", "pipeline_tag": "image-to-video"}
    moved = ["talking-head", "audio-driven"] if driver_of(manifest.model) == "audio" else ["video-driven"]
    known["tags"] = ["portrait-animation", *moved, "onnx", manifest.model, manifest.precision]
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in known.items()]
    return "\n".join(["---", *lines, "---", ""])


def _licence(manifest: Manifest) -> str:
    """What is read first."""
    kind = manifest.weights["kind"]
    if kind == "published":
        terms = "\n".join(f"- {text}" for text in _TERMS[manifest.model])
        return (
            f"{_RESEARCH_ONLY} This bundle contains published weights and falls under their terms, which whoever "
            f"passes it on passes on too:\n\n{terms}"
        )
    if kind == "random":
        return "**Licence: none, these are random numbers.** It makes noise: to try and to measure speed with."
    if manifest.weights["source"] == OWN_SOURCE:
        return "**Licence: Apache-2.0**, weights and graphs, which came with hp-trt and contain nothing of others."
    return (
        "**Licence: that of whoever trained these weights.** hp-trt does not know it: say here under which terms you "
        "pass them on, and of what they were trained."
    )


def _what_it_is(manifest: Manifest) -> str:
    height, width = manifest.size
    of = f"{manifest.model} as ONNX graphs for hp-trt, which runs them without PyTorch"
    if driver_of(manifest.model) == "audio":
        seconds = float(manifest.frames / RATE)
        moved = f"speech moves a portrait, in clips of {manifest.frames} frames ({seconds:g} s)"
    else:
        moved = f"a driving video moves a portrait, in windows of {manifest.frames} frames"
    rows = {
        "what moves the portrait": moved,
        "the moving square": f"{width} x {height} pixels",
        "precision": manifest.precision,
        "weights": f"{manifest.weights['kind']}: {manifest.weights['source']}",
        "sampling": ", ".join(f"{key} {value}" for key, value in manifest.sampling.items()),
    }
    lines = [f"| {key} | {_plain(value)} |" for key, value in rows.items()]
    return f"{of}.\n\n" + "\n".join(["| | |", "|---|---|", *lines])


def _use(manifest: Manifest, name: str) -> str:
    bundle = shlex.quote(name)
    moved = "--audio speech.wav" if driver_of(manifest.model) == "audio" else "--driving talk.mp4"
    lines = [
        f"hp-trt inspect {bundle}    # every file is as it was built, or the command says which is not",
        f"hp-trt animate --bundle {bundle} --portrait me.png {moved} --out out.mp4",
        "hp-trt verify out.mp4       # what the result says of its origin",
    ]
    first = "It comes with hp-trt:" if name.startswith("shipped:") else "Take the whole folder, and then:"
    return f"{first}\n\n```sh\n" + "\n".join(lines) + "\n```"


def _sizes(manifest: Manifest) -> str:
    files = {path: file.bytes for record in manifest.graphs.values() for path, file in record.files.items()}
    rows = []
    for record in manifest.graphs.values():
        graph = sum(file.bytes for path, file in record.files.items() if path == record.main)
        rows.append(f"| {record.name} | {record.precision} | {(graph + record.weights_bytes) / 1e6:.1f} |")
    head = f"{len(manifest.graphs)} graphs, {sum(files.values()) / 1e6:.1f} MB together; some read the same weights."
    return "\n".join([head, "", "| graph | dtype | MB |", "|---|---|---:|", *rows])


def _origin(manifest: Manifest) -> str:
    prints = [f"| {_plain(name)} | `{_plain(value)}` |" for name, value in manifest.weights["fingerprint"].items()]
    built = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    command = without_folders(shlex.join(manifest.command), ())
    lines = [
        f"- manifest: sha256 `{manifest.to_json()['sha256']}`; it has the hash of every file",
        f"- built: {_plain(manifest.created)} with {_plain(built)}",
        f"- by: `python -m export.build_engines {_plain(command)} --bundle NEW_FOLDER`",
    ]
    table = ["", "| network | sha256 of its weights |", "|---|---|", *prints] if prints else []
    return "\n".join([*lines, *table])


def _limits(manifest: Manifest) -> Iterator[str]:
    if manifest.weights["source"] == OWN_SOURCE:
        yield "It knows drawn people alone: photographs become a smear."
    yield "It can make anybody seem to do or say something: ask whoever is shown."
    yield "What hp-trt writes says that it was generated: an invisible mark, Content Credentials, a sidecar."
    yield "How good it is was not measured for this card: `hp-trt evaluate` does."
    if not manifest.engines:
        yield "It has no plans: TensorRT's are built from these graphs on the machine that runs them."


def _plain(value: object) -> str:
    """A bundle's own words, in a line of their own and no more."""
    text = bounded(without_folders(str(value), ()))
    return " ".join(text.replace("|", "/").replace("`", "'").replace("<", "(").replace(">", ")").split())
