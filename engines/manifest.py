"""What a bundle says about itself: `manifest.json`, and one record for each graph.

A record names the graph's content key (a hash of all that went into it), its files with their
sha256, its tensors, and how it was measured. The manifest holds a hash of its own fields, so a
line edited by hand is noticed as surely as a changed weight.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.fields import Field, shown
from engines.file_record import FileRecord, check_record, files_from_json, files_to_json
from engines.plans import EngineSet, Target, check_built, numbers_from_json
from engines.spec import PRECISIONS, QUANTIZATIONS, NetworkSpec

SCHEMA = 5
OWN_SOURCE = "came with hp-trt"  # of trained weights that need no --weights
FORMAT = "hp-trt bundle"
MANIFEST_NAME = "manifest.json"
_BUILD = "python -m export.build_engines"
RECORD_NAME = "record.json"
CARD_NAME = "README.md"  # what model hubs show of a bundle (`hp-trt card`): no part of it, and no stranger in it
MANIFEST_BYTES = 64 << 20  # more is none of ours: those of the published model have 1 MB
LARGEST_PX = 4096  # along a side
LONGEST_WINDOW = 4096  # frames


@dataclass(frozen=True, kw_only=True)
class GraphRecord:
    """One graph of a bundle: where it is, what it promises, how it was made."""

    name: str
    key: str  # hex; its first 12 digits name the folder: same inputs, same folder, no rebuild
    spec: NetworkSpec
    precision: str  # "fp32" | "fp16" | "int8" | "fp8"
    files: Mapping[str, FileRecord] = field(default_factory=dict)  # path inside the bundle; filled in by the writer
    structure: str = ""  # hex, the graph without its weights' values: a plan without weights is tied to that
    parity: Mapping[str, float] = field(default_factory=dict)
    flops: Mapping[str, Any] = field(default_factory=dict)
    built: Mapping[str, Any] = field(default_factory=dict)  # seconds, versions
    apart: bool = True  # in a folder of its own; else beside the manifest, with weights that several graphs read

    def __post_init__(self) -> None:
        check_record(self.name, self.key, self.folder, self.files)

    @property
    def folder(self) -> str:
        """`onnx/<name>-<key12>`, inside the bundle, or the bundle itself: `.`."""
        return graph_folder(self.name, self.key) if self.apart else "."

    @property
    def main(self) -> str:
        """`<folder>/<name>.onnx`, inside the bundle."""
        return f"{self.folder}/{self.name}.onnx" if self.apart else f"{self.name}.onnx"

    @property
    def weights_bytes(self) -> int:
        """Of the weights that it reads. The files of a graph that shares another's hold more."""
        files = sum(file.bytes for path, file in self.files.items() if path != self.main)
        return self.built.get("weights_bytes", files)

    def decides_plan(self, *, stripped: bool) -> str:
        """What of it decides its plan: all of it, or its structure where the plan is `stripped` of weights."""
        return self.structure if stripped else self.key

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "key": self.key,
            "precision": self.precision,
            "structure": self.structure,
            "files": files_to_json(self.files),
            "spec": self.spec.to_json(),
            "parity": dict(self.parity),
            "flops": dict(self.flops),
            "built": dict(self.built),
            **({} if self.apart else {"apart": False}),
        }

    @classmethod
    def from_json(cls, data: Any) -> GraphRecord:
        """`data`: a mapping or a Field. ValueError."""
        field = Field.of(data)
        check_built(field["built"])
        return cls(
            name=field["name"].text(most=100),
            key=field["key"].text(),
            precision=field["precision"].choice((*PRECISIONS, *QUANTIZATIONS)),
            structure=field["structure"].text(),
            files=files_from_json(field["files"]),
            spec=NetworkSpec.from_json(field["spec"]),
            parity=numbers_from_json(field["parity"]),
            flops=numbers_from_json(field["flops"]),
            built=field["built"].mapping(),
            apart=field.get("apart", True).flag(),
        )


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The bundle's description of itself.

    `model` names the rooms that know its graphs; `command` is the words that `export.build_engines` was given for them,
    but for the bundle's own place. `weights` is {"kind": "random" | "published" | "trained", "fingerprint": {network:
    sha256}, "source": text}; `versions` holds "hp_trt", the program that wrote the bundle, among the others.
    """

    model: str  # "hunyuanportrait"
    command: tuple[str, ...]
    preset: str
    precision: str
    size: tuple[int, int]  # H, W in pixels
    frames: int  # F, the denoiser's window
    weights: Mapping[str, Any]
    sampling: Mapping[str, Any]
    geometry: Mapping[str, Any]
    graphs: Mapping[str, GraphRecord]
    versions: Mapping[str, str]
    created: str
    engines: Mapping[str, EngineSet] = field(default_factory=dict)  # by folder; the one built last comes last
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        for name, record in self.graphs.items():
            if name != record.name or name != record.spec.name:
                raise ValueError(f"the graph {shown(name)} calls itself {record.name}, its promise {record.spec.name}")
        for folder, engines in self.engines.items():
            if folder != engines.target.folder:
                raise ValueError(f"the plans for {engines.target} belong in {engines.target.folder}, got {folder!r}")
            stripped = engines.target.options.strip
            for name, plan in engines.plans.items():
                if name != plan.name:
                    raise ValueError(f"{folder}: the plan {shown(name)} calls itself {plan.name}")
                if plan.target_folder != folder:
                    raise ValueError(f"{name}: a plan of {folder} must lie there, got {plan.target_folder!r}")
                if name not in self.graphs or plan.graph_key != self.graphs[name].decides_plan(stripped=stripped):
                    raise ValueError(f"{plan.main} was built from another graph than the bundle's {name}")

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "format": FORMAT,
            "schema": self.schema,
            "model": self.model,
            "command": list(self.command),
            "preset": self.preset,
            "precision": self.precision,
            "size": list(self.size),
            "frames": self.frames,
            "weights": dict(self.weights),
            "sampling": dict(self.sampling),
            "geometry": dict(self.geometry),
            "versions": dict(self.versions),
            "created": self.created,
            "graphs": {name: record.to_json() for name, record in self.graphs.items()},
            "engines": {folder: engines.to_json() for folder, engines in self.engines.items()},
        }
        return data | {"sha256": own_hash(data)}

    @classmethod
    def from_json(cls, data: Any) -> Manifest:
        """`data`: a mapping or a Field. What a model alone can judge, sampling and geometry, is kept as it is.

        ValueError that names the field.
        """
        field = Field.of(data)
        weights = field["weights"]
        for name in ("kind", "source"):
            weights[name].text(most=10_000)
        for _, fingerprint in weights["fingerprint"].entries():
            fingerprint.text()
        height, width = (side.whole(1, LARGEST_PX) for side in field["size"].listed(least=2, most=2))
        return cls(
            schema=field["schema"].whole(SCHEMA, SCHEMA),
            model=field["model"].text(most=100),
            command=field["command"].words(),
            preset=field["preset"].text(most=100),
            precision=field["precision"].choice(PRECISIONS),
            size=(height, width),
            frames=field["frames"].whole(1, LONGEST_WINDOW),
            weights=weights.mapping(),
            sampling=field["sampling"].mapping(),
            geometry=field["geometry"].mapping(),
            versions={name: version.text() for name, version in field["versions"].entries()},
            created=field["created"].text(most=100),
            graphs={name: GraphRecord.from_json(record) for name, record in field["graphs"].entries(most=1000)},
            engines={folder: EngineSet.from_json(engines) for folder, engines in field["engines"].entries(most=1000)},
        )


def graph_folder(name: str, key: str) -> str:
    """Where a graph lives inside a bundle."""
    return f"onnx/{name}-{key[:12]}"


def is_graph_folder(name: str) -> bool:
    """True for NAME-KEY12, as no person names a folder."""
    return re.fullmatch(r"\w+-[0-9a-f]{12}", name) is not None


def own_hash(data: Mapping[str, Any]) -> str:
    """sha256 over every field of a manifest but the hash itself; order and white space do not count."""
    fields = {k: v for k, v in data.items() if k != "sha256"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def to_text(data: Mapping[str, Any]) -> str:
    """The one way our json files are written. ValueError for NaN, which is not json."""
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def mending(bundle: Path, manifest: Mapping[str, Any] | None = None) -> str:
    """What to do about graphs of `bundle` that are not as they were built: with its verb, as a message ends."""
    if came_with_us(manifest):
        return f"install hp-trt again, or build a bundle of your own: {build_command(bundle, manifest)}"
    return f"rebuild it: {build_command(bundle, manifest)}"


def came_with_us(manifest: Mapping[str, Any] | None) -> bool:
    """Whether the bundle of this manifest lies in the package, where nothing is built: its graphs share weights."""
    graphs = manifest.get("graphs") if isinstance(manifest, Mapping) else None
    records = graphs.values() if isinstance(graphs, Mapping) else ()
    return any(isinstance(record, Mapping) and record.get("apart") is False for record in records)


def build_command(bundle: Path, manifest: Mapping[str, Any] | None = None) -> str:
    """The command that makes the graphs of `bundle` (again): with the words that its manifest says built them, or, of
    one that does not say, as precisely as what is left of it allows. What came with hp-trt is made in a new folder."""
    known = manifest if isinstance(manifest, Mapping) else {}
    place = "NEW_FOLDER" if came_with_us(manifest) else shlex.quote(str(bundle))
    try:
        words = [shlex.join(Field.of(known)["command"].words())]
    except ValueError:
        preset = known.get("preset")
        words = [f"--preset {preset if isinstance(preset, str) else 'PRESET'}"]
        weights = known.get("weights")
        if not isinstance(weights, Mapping) or weights.get("source") != OWN_SOURCE:
            words.append("[--weights PATH | --random-weights]")
        words += [
            f"--{name} {known[name]}" for name in ("precision", "frames") if isinstance(known.get(name), str | int)
        ]
        if isinstance(size := known.get("size"), list | tuple) and size and isinstance(size[0], int):
            words.append(f"--size {size[0]}")
    return " ".join([_BUILD, *words, f"--bundle {place}"])


def plan_command(bundle: Path, family: str, target: Target | None = None) -> str:
    """The command that builds plans of `family` from the graphs that `bundle` holds: those of `target`, where given."""
    chosen = target.arguments() if target is not None else []
    words = [_BUILD, f"--family {family}", *chosen, f"--bundle {shlex.quote(str(bundle))}"]
    return " ".join(words)
