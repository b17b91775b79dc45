"""Small bundles for tests: a graph is any bytes, its key a hash of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.cpu import find_cpu
from engines.engine_choice import EngineChoice
from engines.manifest import GraphRecord, Manifest
from engines.plan_choice import platform_name
from engines.plans import EngineSet, PlanRecord, Target
from engines.spec import DimRange, NetworkSpec, TensorSpec


def key_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def spec_of(name: str) -> NetworkSpec:
    x = TensorSpec(name="x", dims=("rows", 4), dtype="float32")
    y = TensorSpec(name="y", dims=("rows", 4), dtype="float32")
    return NetworkSpec(name=name, inputs=(x,), outputs=(y,), ranges={"rows": DimRange(min=1, opt=2, max=3)})


def make_graph(writer: BundleWriter, name: str, content: bytes, structure: str = "") -> GraphRecord:
    """The finished graph, built only where the writer has none."""
    key = key_of(content)
    if (record := writer.find(name, key)) is not None:
        return record
    folder = writer.stage(name, key)
    (folder / f"{name}.onnx").write_bytes(content)
    (folder / f"{name}.onnx.data").write_bytes(content * 100)
    built = {"seconds": 0.5, "shape": (1, 2)}
    record = GraphRecord(
        name=name, key=key, spec=spec_of(name), precision="fp32", structure=structure or key, built=built
    )
    return writer.finish(record)


def manifest_of(*records: GraphRecord, preset: str = "pocket") -> Manifest:
    return Manifest(
        model="hunyuanportrait",
        command=("--preset", preset, "--random-weights", "--size", "64"),
        preset=preset,
        precision="fp32",
        size=(64, 64),
        frames=5,
        weights={"kind": "random", "fingerprint": {"unet": "00"}, "source": "seed 0"},
        sampling={"steps": 4, "window": 5},
        geometry={"crop_px": 64, "appearance_px": 28, "motion_px": 32},
        graphs={record.name: record for record in records},
        versions={"hp_trt": "0.1.0"},
        created="2026-01-01T00:00:00Z",
    )


def make_bundle(path: Path, **contents: bytes) -> Bundle:
    """A bundle with one graph for each keyword."""
    with BundleWriter(path) as writer:
        records = [make_graph(writer, name, content) for name, content in contents.items()]
        return writer.commit(manifest_of(*records))


TARGET = Target(family="tensorrt-rtx", version="1.7.1.116", capabilities=("8.9", "12.0"), platform=platform_name())


def make_plan(writer: BundleWriter, graph: GraphRecord, content: bytes, target: Target = TARGET) -> PlanRecord:
    """The finished plan of a graph, built only where the writer has none."""
    key = key_of(content + graph.key.encode() + target.fingerprint.encode())
    if (record := writer.find_plan(target, graph.name, key)) is not None:
        return record
    folder = writer.stage_plan(target, graph.name, key)
    (folder / f"{graph.name}.plan").write_bytes(content * 50)
    (folder / "build.json").write_text("{}\n")
    record = PlanRecord(
        name=graph.name,
        key=key,
        graph_key=graph.decides_plan(stripped=target.options.strip),
        target_folder=target.folder,
        attention={"count": 2, "fused": 1, "text": "1 of 2 attentions fused"},
        built={"seconds": 3.0, "peak_bytes": 2 << 30, "not_compared": "no GPU to run it on", "graph": graph.key},
    )
    return writer.finish(record)


def with_plans(manifest: Manifest, *plans: PlanRecord, target: Target = TARGET) -> Manifest:
    engines = EngineSet(target=target, plans={plan.name: plan for plan in plans})
    return replace(manifest, engines={**manifest.engines, target.folder: engines})


def make_bundle_with_plans(path: Path, target: Target = TARGET, **contents: bytes) -> Bundle:
    """A bundle with a graph for each keyword, and a plan for each graph."""
    with BundleWriter(path) as writer:
        records = [make_graph(writer, name, content) for name, content in contents.items()]
        plans = [make_plan(writer, record, b"plan of " + record.name.encode(), target) for record in records]
        return writer.commit(with_plans(manifest_of(*records), *plans, target=target))


CPU_TARGET = Target(
    family="openvino",
    version="2026.4.1",
    capabilities=find_cpu().features,
    gpu=find_cpu().name,
    platform=platform_name(),
)


def make_bundle_with_table(path: Path, choices: Mapping[str, EngineChoice], target: Target = CPU_TARGET) -> Bundle:
    """A bundle with a graph for each choice, and OpenVINO's plan of it where the choice uses one."""
    with BundleWriter(path) as writer:
        graphs = [make_graph(writer, name, name.encode()) for name in choices]
        plans = []
        for graph in graphs:
            choice, key = choices[graph.name], key_of(b"plan" + graph.key.encode())
            folder = writer.stage_plan(target, graph.name, key)
            (folder / "build.json").write_text("{}\n")
            if choice.plan_is_used:
                (folder / f"{graph.name}.plan").write_bytes(b"plan")
            record = PlanRecord(
                name=graph.name,
                key=key,
                graph_key=graph.key,
                target_folder=target.folder,
                built={"graph": graph.key, "engine": choice.to_json()},
            )
            plans.append(writer.finish(record))
        return writer.commit(with_plans(manifest_of(*graphs), *plans, target=target))
