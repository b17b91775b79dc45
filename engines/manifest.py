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

from engines.file_record import FileRecord, check_record, files_from_json, files_to_json
from engines.plans import EngineSet, Target
from engines.spec import NetworkSpec

SCHEMA = 3
OWN_SOURCE = "came with hp-trt"  # of trained weights that need no --weights
FORMAT = "hp-trt bundle"
MANIFEST_NAME = "manifest.json"
_BUILD = "python -m export.build_engines"
RECORD_NAME = "record.json"


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

    def __post_init__(self) -> None:
        check_record(self.name, self.key, self.folder, self.files)

    @property
    def folder(self) -> str:
        """`onnx/<name>-<key12>`, inside the bundle."""
        return graph_folder(self.name, self.key)

    @property
    def main(self) -> str:
        """`onnx/<name>-<key12>/<name>.onnx`, inside the bundle."""
        return f"{self.folder}/{self.name}.onnx"

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
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GraphRecord:
        return cls(
            name=data["name"],
            key=data["key"],
            precision=data["precision"],
            structure=data["structure"],
            files=files_from_json(data["files"]),
            spec=NetworkSpec.from_json(data["spec"]),
            parity=data["parity"],
            flops=data["flops"],
            built=data["built"],
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
        for folder, engines in self.engines.items():
            if folder != engines.target.folder:
                raise ValueError(f"the plans for {engines.target} belong in {engines.target.folder}, got {folder!r}")
            stripped = engines.target.options.strip
            for name, plan in engines.plans.items():
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
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        for name in ("weights", "sampling", "geometry", "versions"):
            if not isinstance(data[name], Mapping):
                raise ValueError(f"{name} must be an object, got {data[name]!r}")
        return cls(
            schema=data["schema"],
            model=data["model"],
            command=_words(data["command"]),
            preset=data["preset"],
            precision=data["precision"],
            size=(data["size"][0], data["size"][1]),
            frames=data["frames"],
            weights=data["weights"],
            sampling=data["sampling"],
            geometry=data["geometry"],
            versions=data["versions"],
            created=data["created"],
            graphs={name: GraphRecord.from_json(record) for name, record in data["graphs"].items()},
            engines={folder: EngineSet.from_json(engines) for folder, engines in data["engines"].items()},
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


def parse_json(text: str | bytes) -> Any:
    """What `to_text` wrote. ValueError for everything else, NaN and bottomless nesting included."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not json")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def build_command(bundle: Path, manifest: Mapping[str, Any] | None = None) -> str:
    """The command that makes the graphs of `bundle` (again): with the words that its manifest says built them, or, of
    one that does not say, as precisely as what is left of it allows."""
    known = manifest if isinstance(manifest, Mapping) else {}
    try:
        words = [shlex.join(_words(known["command"]))]
    except (KeyError, ValueError):
        words = [f"--preset {known.get('preset', 'pocket|hunyuanportrait')}"]
        weights = known.get("weights")
        if not isinstance(weights, Mapping) or weights.get("source") != OWN_SOURCE:
            words.append("[--weights PATH | --random-weights]")
        words += [f"--{name} {known[name]}" for name in ("precision", "frames") if name in known]
        if isinstance(size := known.get("size"), list | tuple) and size:
            words.append(f"--size {size[0]}")
    return " ".join([_BUILD, *words, f"--bundle {shlex.quote(str(bundle))}"])


def _words(data: Any) -> tuple[str, ...]:
    if not isinstance(data, list | tuple) or not all(isinstance(word, str) for word in data):
        raise ValueError(f"command must be a list of words, got {data!r}")
    return tuple(data)


def plan_command(bundle: Path, family: str, target: Target | None = None) -> str:
    """The command that builds plans of `family` from the graphs that `bundle` holds: those of `target`, where given."""
    chosen = target.arguments() if target is not None else []
    words = [_BUILD, f"--family {family}", *chosen, f"--bundle {shlex.quote(str(bundle))}"]
    return " ".join(words)
