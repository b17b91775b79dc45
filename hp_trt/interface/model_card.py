"""The README that a model hub expects beside a bundle: its card, licence first, all of it from the manifest.

The front matter is what hubs sort and filter by. Names of a bundle's own stand in it as text, and no path of the
machine that built it does.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
INSPECT = "hp-trt inspect {bundle}    # every file is as it was built, or the command says which is not"
RANDOM, TRAINED = "random-numbers", "of-whoever-trained-it"  # licences that nobody wrote
_RESEARCH_ONLY = "**For academic research only: no commercial or production use.**"


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a card says that depends on what the model does."""

    known: Mapping[str, Any]  # for hubs, which sort and filter by it: licence, kind of task, tags
    licence: str  # what is read first
    what_it_is: str
    use: Sequence[str]  # commands, a line each; {bundle} stands for the bundle's name
    limits: Sequence[str]


def card_text(bundle: Bundle) -> str:
    """The card of an opened bundle that animates: Markdown with a front matter. Raises BundleError for a model that is
    not known."""
    find_model(bundle)
    manifest = bundle.manifest
    moved = "--audio speech.wav" if driver_of(manifest.model) == "audio" else "--driving talk.mp4"
    return card_of(
        bundle,
        Words(
            known=_known(manifest),
            licence=_licence(manifest),
            what_it_is=_what_it_is(manifest),
            use=(
                INSPECT,
                f"hp-trt animate --bundle {{bundle}} --portrait me.png {moved} --out out.mp4",
                "hp-trt verify out.mp4       # what the result says of its origin",
            ),
            limits=tuple(_limits(manifest)),
        ),
    )


def card_of(bundle: Bundle, words: Words) -> str:
    """The card of an opened bundle of any model."""
    manifest = bundle.manifest
    name = f"shipped:{manifest.preset}" if came_with_us(manifest.to_json()) else bundle.path.resolve().name
    limits = list(words.limits)
    if not manifest.engines:
        limits.append("It has no plans: TensorRT's are built from these graphs on the machine that runs them.")
    parts = (
        _front_matter({**words.known, "library_name": "hp-trt"}),
        f"{words.licence}\n",
        f"{MARK} of the bundle {manifest.to_json()['sha256']}. -->\n",
        f"# {plain(manifest.preset)}\n\n{words.what_it_is}\n",
        f"## Use\n\n{_use(words.use, name)}\n",
        f"## Sizes\n\n{_sizes(manifest)}\n",
        f"## Where it comes from\n\n{_origin(manifest)}\n",
        "## Limits\n\n" + "\n".join(f"- {text}" for text in limits) + "\n",
    )
    return "\n".join(parts)


def _front_matter(known: Mapping[str, Any]) -> str:
    """YAML, of which JSON's texts and lists are a part; the licence first, then who reads it."""
    first = sorted(known, key=lambda key: (not key.startswith("license"), key != "library_name"))
    lines = [f"{key}: {json.dumps(known[key], ensure_ascii=False)}" for key in first]
    return "\n".join(["---", *lines, "---", ""])


def _known(manifest: Manifest) -> dict[str, Any]:
    known: dict[str, Any] = {}
    words = licence(manifest.weights)
    if words == "Apache-2.0":
        known["license"] = "apache-2.0"
    else:
        kind = str(manifest.weights["kind"])
        names = {"published": "academic-research-only", "random": RANDOM}
        known |= {"license": "other", "license_name": names.get(kind, TRAINED)}
    moved = ["talking-head", "audio-driven"] if driver_of(manifest.model) == "audio" else ["video-driven"]
    tags = ["portrait-animation", *moved, "onnx", manifest.model, manifest.precision]
    return known | {"pipeline_tag": "image-to-video", "tags": tags}


def _licence(manifest: Manifest) -> str:
    """What is read first."""
    kind = manifest.weights["kind"]
    if kind == "published":
        terms = "\n".join(f"- {text}" for text in _TERMS[manifest.model])
        return (
            f"{_RESEARCH_ONLY} This bundle contains published weights and falls under their terms, which whoever "
            f"passes it on passes on too:\n\n{terms}"
        )
    return licence_of_own(manifest)


def licence_of_own(manifest: Manifest) -> str:
    """The same of weights that were not published with a model, whatever the model."""
    if manifest.weights["kind"] == "random":
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
    return f"{of}.\n\n{table(rows)}"


def table(rows: Mapping[str, object]) -> str:
    """Of two columns, of a bundle's own words."""
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {plain(value)} |" for key, value in rows.items())])


def _use(commands: Sequence[str], name: str) -> str:
    lines = [command.format(bundle=shlex.quote(name)) for command in commands]
    first = "It comes with hp-trt:" if name.startswith("shipped:") else "Take the whole folder, and then:"
    return f"{first}\n\n```sh\n" + "\n".join(lines) + "\n```"


def _sizes(manifest: Manifest) -> str:
    files = {path: file.bytes for record in manifest.graphs.values() for path, file in record.files.items()}
    rows = []
    for record in manifest.graphs.values():
        graph = sum(file.bytes for path, file in record.files.items() if path == record.main)
        rows.append(f"| {record.name} | {record.precision} | {(graph + record.weights_bytes) / 1e6:.1f} |")
    megabytes, count = sum(files.values()) / 1e6, len(manifest.graphs)
    head = f"{count} graphs, {megabytes:.1f} MB together; some read the same weights."
    if count == 1:
        head = f"1 graph, {megabytes:.1f} MB."
    return "\n".join([head, "", "| graph | dtype | MB |", "|---|---|---:|", *rows])


def _origin(manifest: Manifest) -> str:
    prints = [f"| {plain(name)} | `{plain(value)}` |" for name, value in manifest.weights["fingerprint"].items()]
    built = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    command = without_folders(shlex.join(manifest.command), ())
    lines = [
        f"- manifest: sha256 `{manifest.to_json()['sha256']}`; it has the hash of every file",
        f"- built: {plain(manifest.created)} with {plain(built)}",
        f"- by: `python -m export.build_engines {plain(command)} --bundle NEW_FOLDER`",
    ]
    table = ["", "| network | sha256 of its weights |", "|---|---|", *prints] if prints else []
    return "\n".join([*lines, *table])


def _limits(manifest: Manifest) -> Iterator[str]:
    if manifest.weights["source"] == OWN_SOURCE:
        yield "It knows drawn people alone: photographs become a smear."
    yield "It can make anybody seem to do or say something: ask whoever is shown."
    yield "What hp-trt writes says that it was generated: an invisible mark, Content Credentials, a sidecar."
    yield "How good it is was not measured for this card: `hp-trt evaluate` does."


def plain(value: object) -> str:
    """A bundle's own words, in a line of their own and no more."""
    text = bounded(without_folders(str(value), ()))
    return " ".join(text.replace("|", "/").replace("`", "'").replace("<", "(").replace(">", ")").split())
