"""What a bundle says about its plans: graphs that one family has built for one kind of GPU.

An `EngineSet` is a folder of plans with one target: family, version, GPU kind, options. Its fingerprint hashes these,
so plans for another GPU or another TensorRT stand beside, never on top. Each plan has a content key of its own: graph,
target and options. Plans are looked up by content; whatever changes, only the plan that it concerns is built again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from engines.fields import Field
from engines.file_record import FileRecord, check_record, files_from_json, files_to_json

ENGINES = "engines"  # the folder inside a bundle
TIMING_CACHE = "timing.cache"  # in a target's folder
MOST_AUX_STREAMS = 16  # more than a UNet has branches


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What the builder may do. All of it changes the plan, so all of it is in the fingerprint."""

    workspace_bytes: int | None = None  # None: what the builder takes by itself
    version_compatible: bool = False  # runs on later TensorRT of the same major version
    hardware_compatible: bool = False  # runs on every GPU of the same capability and later, not only this kind
    weight_streaming: bool = False  # weights may stay in host memory, for small cards
    strip: bool = False  # carries no weights: they are read from the graph when it loads, whichever they are then
    optimization_level: int | None = None  # 0 to 5; None: the family's own default
    max_aux_streams: int | None = None  # streams beside the run's own; None: as many as the builder sees fit
    tiling_optimization_level: int | None = None  # 0 to 3: none, fast, moderate, full; None: the family's own default

    def __post_init__(self) -> None:
        if self.max_aux_streams is not None and not 0 <= self.max_aux_streams <= MOST_AUX_STREAMS:
            raise ValueError(f"--max-aux-streams can be 0 to {MOST_AUX_STREAMS}, got {self.max_aux_streams}")
        if self.tiling_optimization_level is not None and not 0 <= self.tiling_optimization_level <= 3:
            raise ValueError(f"the tiling optimization level must be 0 to 3, got {self.tiling_optimization_level}")
        if self.optimization_level is not None and not 0 <= self.optimization_level <= 5:
            raise ValueError(f"the optimization level must be 0 to 5, got {self.optimization_level}")
        if self.workspace_bytes is not None and not 1 <= self.workspace_bytes < 1 << 63:
            raise ValueError(f"the workspace must be 1 byte to 8 EiB, got {self.workspace_bytes} bytes")

    @classmethod
    def from_json(cls, data: Any) -> PlanOptions:
        """`data`: a mapping or a Field. ValueError."""
        field = Field.of(data)
        return cls(
            workspace_bytes=_whole_or_none(field["workspace_bytes"], 1, (1 << 63) - 1),
            version_compatible=field["version_compatible"].flag(),
            hardware_compatible=field["hardware_compatible"].flag(),
            weight_streaming=field["weight_streaming"].flag(),
            strip=field["strip"].flag(),
            optimization_level=_whole_or_none(field["optimization_level"], 0, 5),
            max_aux_streams=_whole_or_none(field["max_aux_streams"], 0, MOST_AUX_STREAMS),
            tiling_optimization_level=_whole_or_none(field["tiling_optimization_level"], 0, 3),
        )


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a plan was built with, and what it runs on."""

    family: str  # "tensorrt" | "tensorrt-rtx"
    version: str  # of the family, in full: "11.4.0.106"
    capabilities: tuple[str, ...]  # ("8.9", "12.0"); one for plans that were built on their GPU
    gpu: str = ""  # "NVIDIA H200"; empty: any GPU of these capabilities
    platform: str = ""  # "linux-x86_64"
    options: PlanOptions = field(default_factory=PlanOptions)

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) over all fields."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    @property
    def folder(self) -> str:
        """`engines/<family>-<fingerprint12>`, inside the bundle."""
        return f"{ENGINES}/{self.family}-{self.fingerprint[:12]}"

    def arguments(self) -> list[str]:
        """What asks `export.build_engines` for this target, its family and its GPU aside."""
        options = self.options
        words = [f"--capability {','.join(self.capabilities)}"] if self.family == "tensorrt-rtx" else []
        if options.workspace_bytes is not None:
            words.append(f"--workspace {options.workspace_bytes / 2**30!r}")
        for name in ("version_compatible", "hardware_compatible", "weight_streaming", "strip"):
            if getattr(options, name):
                words.append(f"--{name.replace('_', '-')}")
        for name in ("optimization_level", "max_aux_streams", "tiling_optimization_level"):
            if (value := getattr(options, name)) is not None:
                words.append(f"--{name.replace('_', '-')} {value}")
        return words

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"capabilities": list(self.capabilities)}

    @classmethod
    def from_json(cls, data: Any) -> Target:
        """`data`: a mapping or a Field. ValueError."""
        field = Field.of(data)
        family = field["family"].text(most=100)
        if not re.fullmatch(r"[a-z-]+", family):  # it becomes a folder's name
            raise field["family"].wrong("lower-case letters and hyphens")
        return cls(
            family=family,
            version=field["version"].text(most=100),
            capabilities=field["capabilities"].words(most=100),
            gpu=field["gpu"].text(most=200),
            platform=field["platform"].text(most=100),
            options=PlanOptions.from_json(field["options"]),
        )


@dataclass(frozen=True, kw_only=True)
class PlanRecord:
    """One plan of a bundle: what it was built from, where it is, how it was measured."""

    name: str  # the graph's
    key: str  # hex, the plan's content key
    graph_key: str  # what it was built from: `GraphRecord.decides_plan`
    target_folder: str  # `Target.folder`
    files: Mapping[str, FileRecord] = field(default_factory=dict)  # NAME.plan and build.json; filled in by the writer
    parity: Mapping[str, float] = field(default_factory=dict)  # empty: not compared, for want of a GPU
    attention: Mapping[str, Any] = field(default_factory=dict)  # `export.plans.attention.summary`, and its line of text
    built: Mapping[str, Any] = field(default_factory=dict)  # seconds, peak_bytes, not_compared: why, graph: its key

    def __post_init__(self) -> None:
        check_record(self.name, self.key, self.folder, self.files)

    @property
    def folder(self) -> str:
        """`engines/<family>-<fingerprint12>/<name>-<key12>`, inside the bundle."""
        return f"{self.target_folder}/{self.name}-{self.key[:12]}"

    @property
    def main(self) -> str:
        """`<folder>/<name>.plan`, inside the bundle."""
        return f"{self.folder}/{self.name}.plan"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "key": self.key,
            "graph_key": self.graph_key,
            "target_folder": self.target_folder,
            "files": files_to_json(self.files),
            "parity": dict(self.parity),
            "attention": dict(self.attention),
            "built": dict(self.built),
        }

    @classmethod
    def from_json(cls, data: Any) -> PlanRecord:
        """`data`: a mapping or a Field. ValueError."""
        field = Field.of(data)
        attention, built = field["attention"], field["built"]
        for name in ("count", "fused") if attention.mapping() else ():
            attention[name].whole(0, 1_000_000)
        if (text := attention.get("text")) is not None:
            text.text(most=10_000)
        check_built(built)
        return cls(
            name=field["name"].text(most=100),
            key=field["key"].text(),
            graph_key=field["graph_key"].text(),
            target_folder=field["target_folder"].text(),
            files=files_from_json(field["files"]),
            parity=numbers_from_json(field["parity"]),
            attention=attention.mapping(),
            built=built.mapping(),
        )


@dataclass(frozen=True, kw_only=True)
class EngineSet:
    """The plans of one target."""

    target: Target
    plans: Mapping[str, PlanRecord]  # by graph; a set may lack some: a build of --only

    def to_json(self) -> dict[str, Any]:
        return {"target": self.target.to_json(), "plans": {n: r.to_json() for n, r in self.plans.items()}}

    @classmethod
    def from_json(cls, data: Any) -> EngineSet:
        """`data`: a mapping or a Field. ValueError."""
        field = Field.of(data)
        return cls(
            target=Target.from_json(field["target"]),
            plans={name: PlanRecord.from_json(plan) for name, plan in field["plans"].entries(most=1000)},
        )


def check_built(built: Field) -> None:
    """What of the facts about a build is read again: a graph's, or a plan's. ValueError."""
    for name in ("seconds", "export_seconds"):
        if (found := built.get(name)) is not None:
            found.number(0, 1e9)
    for name in ("peak_bytes", "weights_bytes"):
        if (found := built.get(name)) is not None:
            found.whole(0, 1 << 60)
    for name in ("graph", "not_compared"):
        if (found := built.get(name)) is not None:
            found.text(most=10_000)
    if (found := built.get("facts")) is not None:
        found.mapping()


def numbers_from_json(field: Field) -> dict[str, float]:
    """An object of finite numbers of at least 0. ValueError."""
    return {name: value.number(0, 1e30) for name, value in field.entries(most=100)}


def _whole_or_none(field: Field, least: int, most: int) -> int | None:
    return None if field.found is None else field.whole(least, most)


def plan_folder(target: Target, name: str, key: str) -> str:
    """Where the plan of a graph lives inside a bundle."""
    return f"{target.folder}/{name}-{key[:12]}"


def is_target_folder(name: str) -> bool:
    """True for FAMILY-FINGERPRINT12, as no person names a folder."""
    return re.fullmatch(r"[a-z-]+-[0-9a-f]{12}", name) is not None


def is_timing_cache(path: str) -> bool:
    """True for `engines/<family>-<fingerprint12>/timing.cache`, inside a bundle."""
    parts = PurePosixPath(path).parts
    return len(parts) == 3 and parts[0] == ENGINES and is_target_folder(parts[1]) and parts[2] == TIMING_CACHE
