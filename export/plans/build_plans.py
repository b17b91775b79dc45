"""Graphs of a bundle to plans: each built for one target, compared, and put where its content says.

It needs the bundle and the family, no checkpoints: plans are built on the GPU that will run them, which is seldom where
the graphs were exported. With the networks at hand (`judge`), they are compared with those as well. A plan that the
bundle holds already is not built again, nor one that was finished before a kill.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engines import families
from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.errors import BundleError, InputError
from engines.gpu import NoGpu, find_gpu
from engines.manifest import GraphRecord, Manifest, build_command, to_text
from engines.plan_choice import Here, misfit
from engines.plans import EngineSet, PlanOptions, PlanRecord, Target
from export.plans.attention import attention_line
from export.plans.build_memory import check_build_memory
from export.plans.engine_parity import Judge, compare_engine, graph_of, why_no_reference
from export.plans.plan import build_plan
from export.plans.plan_target import plan_key, plan_target
from export.progress import Progress, announcer

BUILD_REPORT = "build.json"


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """What to build plans for, checked when made."""

    family: str
    capabilities: tuple[str, ...] = ()  # ("8.9", "12.0"), ahead of time; empty: the GPU at hand
    options: PlanOptions = field(default_factory=PlanOptions)
    only: tuple[str, ...] = ()  # build at most these; empty: all graphs of the bundle
    parity: bool = True
    device_id: int = 0

    def __post_init__(self) -> None:
        if not families.find(self.family).has_plans:
            raise InputError(f"{self.family} runs graphs as they are, there are no plans to build; leave --family out")

    def target(self) -> Target:
        """What the plans are for. Raises InputError and EngineMismatch, before anything is built."""
        return plan_target(families.find(self.family), self.capabilities, self.options, self.device_id)


def build_plans(
    bundle: Path,
    config: PlanConfig,
    on_progress: Callable[[Progress], None] | None = None,
    judge: Judge | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> Bundle:
    """Build what is missing or changed, commit, and return the opened bundle.

    `judge`: what the float32 network of a graph gives for its tries (`export.graphs.parity.expectations`). Raises
    BundleError, InputError, OutputError, EngineMismatch; ParityError when an engine is wrong, which is then not kept.
    """
    target, tell = config.target(), on_progress or (lambda progress: None)
    Bundle.open(bundle, family="")  # refused before a lock is taken
    with BundleWriter(bundle) as writer:
        # Read again: another build may have ended just now. Each graph is hashed when it is needed.
        manifest = Bundle.open(bundle, family="").manifest
        names = wanted(manifest, config)
        others = {folder: engines for folder, engines in manifest.engines.items() if folder != target.folder}
        plans = intact(writer, manifest.engines[target.folder], names) if target.folder in manifest.engines else {}
        builder = _Builder(writer, manifest, target, config, judge, on_warning or (lambda text: None))
        for number, name in enumerate(names, start=1):
            graph = manifest.graphs[name]
            announce = announcer(tell, what="plan", graph=name, number=number, of=len(names))
            unchecked = why_not_compared(target, graph, config, judged=judge is not None)
            key, plan = find_plan(writer, target, graph, compared=not unchecked)
            if plan is None:
                plan = builder(graph, key, unchecked, announce)
                announce("done", parity=plan.parity.get("max"))
            else:
                announce("reuse", parity=plan.parity.get("max"))
            plans[name] = plan
        left = {folder: replace(engines, plans=intact(writer, engines)) for folder, engines in others.items()}
        kept = {folder: engines for folder, engines in left.items() if engines.plans}
        engines = EngineSet(target=target, plans={name: plans[name] for name in manifest.graphs if name in plans})
        return writer.commit(replace(manifest, engines={**kept, target.folder: engines}))


def intact(writer: BundleWriter, engines: EngineSet, less: Sequence[str] = ()) -> dict[str, PlanRecord]:
    """The plans of a set whose files are as they were built, `less` those of these graphs. All of them are hashed."""
    return {
        name: plan
        for name, plan in engines.plans.items()
        if name not in less and writer.find_plan(engines.target, name, plan.key) == plan
    }


def find_plan(
    writer: BundleWriter, target: Target, graph: GraphRecord, *, compared: bool
) -> tuple[str, PlanRecord | None]:
    """The content key of a graph's plan, and its record where the bundle holds it already.

    Whether an engine was compared is part of its key: one that was is never replaced by one that was not.
    """
    content = plan_key(target, graph)
    keys = [hashlib.sha256(f"{content} {word}".encode()).hexdigest() for word in ("compared", "built")]
    wanted = keys[0] if compared else keys[1]
    found = writer.find_plan(target, graph.name, keys[0])
    return wanted, found if found or compared else writer.find_plan(target, graph.name, wanted)


def wanted(manifest: Manifest, config: PlanConfig) -> Sequence[str]:
    """The graphs to build plans of: all that the target has products for, or those asked for.

    Raises InputError for one that the bundle has not, or the target cannot run.
    """
    if unknown := [name for name in config.only if name not in manifest.graphs]:
        raise InputError(f"there is no graph {', '.join(unknown)}; choose from {', '.join(manifest.graphs)}")
    family, capabilities = families.find(config.family), config.target().capabilities
    fitting = [n for n, g in manifest.graphs.items() if family.computes(g.precision, capabilities)]
    if unfit := [name for name in config.only if name not in fitting]:
        raise InputError(
            f"{config.family} has no {manifest.graphs[unfit[0]].precision} products for capability "
            f"{', '.join(capabilities)}, which {unfit[0]} is made of; leave it out"
        )
    return [name for name in fitting if not config.only or name in config.only]


def why_not_compared(target: Target, graph: GraphRecord, config: PlanConfig, *, judged: bool) -> str:
    """Why the engine of a graph cannot be compared here; empty when it can. `judged`: its network will be run as well.

    Raises InputError when it can, and what comparing takes is not installed.
    """
    if not config.parity:
        return "--no-parity"
    gpu = find_gpu(config.device_id)
    if isinstance(gpu, NoGpu):
        return f"no GPU to run it on: {gpu.found}"
    version = families.load(families.find(config.family)).__version__
    return misfit(target, Here(family=config.family, version=version, gpu=gpu)) or why_no_reference(graph, judged)


@dataclass(frozen=True)
class _Builder:
    """Builds one plan after the other, of one bundle for one target."""

    writer: BundleWriter
    manifest: Manifest
    target: Target
    config: PlanConfig
    judge: Judge | None
    warn: Callable[[str], None]

    def __call__(self, graph: GraphRecord, key: str, unchecked: str, announce: Callable[..., None]) -> PlanRecord:
        writer, target, device_id = self.writer, self.target, self.config.device_id
        family, onnx = families.find(self.config.family), writer.path / graph.main
        if writer.find(graph.name, graph.key) != graph:
            command = build_command(writer.path, self.manifest.to_json())
            raise BundleError(f"{onnx} was changed after the build; rebuild it: {command}")
        if not unchecked:
            graph_of(self.manifest, graph)  # raises, if it does, before the long work
        check_build_memory(family, graph, target, device_id)
        folder = writer.stage_plan(target, graph.name, key)
        plan = folder / f"{graph.name}.plan"
        report = build_plan(
            family,
            spec=graph.spec,
            onnx=onnx,
            out=plan,
            target=target,
            timing_cache=writer.timing_cache(target),
            on_progress=lambda phase, done, of: announce("plan", phase=phase, fraction=done / of if of else None),
            device_id=device_id,
        )
        for warning in report.warnings:
            self.warn(f"{graph.name}: {warning}")
        parity = {}
        if not unchecked:
            announce("parity")
            parity = compare_engine(
                self.manifest, graph, target, plan=plan, onnx=onnx, judge=self.judge, device_id=device_id
            )
        attention = {**report.attention, "text": attention_line(report.attention)}
        built: dict[str, Any] = {
            "seconds": round(report.seconds, 2),
            "peak_bytes": report.peak_bytes,
            "not_compared": unchecked,
            "graph": graph.key,  # a plan without weights outlives it
        }
        layers = {"layers_from": report.layers_from, "layers": list(report.layers), "warnings": list(report.warnings)}
        facts = {"name": graph.name, "target": target.to_json(), "attention": attention, "parity": parity}
        (folder / BUILD_REPORT).write_text(to_text(facts | built | layers), encoding="utf-8")
        return writer.finish(
            PlanRecord(
                name=graph.name,
                key=key,
                graph_key=graph.decides_plan(stripped=target.options.strip),
                target_folder=target.folder,
                parity=parity,
                attention=attention,
                built=built,
            )
        )
