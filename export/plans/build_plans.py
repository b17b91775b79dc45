"""Graphs of a bundle to plans: each built for one target, compared, and put where its content says.

It needs the bundle and the family, no checkpoints: plans are built on the GPU that will run them, which is seldom where
the graphs were exported. With the networks at hand, they are compared with those as well. A plan that the
bundle holds already is not built again, nor one that was finished before a kill: `export.plans.plan_steps`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engines import families
from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.errors import BundleError
from engines.manifest import GraphRecord, Manifest, build_command, to_text
from engines.plans import BUILD_REPORT, EngineSet, PlanRecord, Target
from export.plans.attention import attention_line
from export.plans.build_memory import check_build_memory
from export.plans.engine_parity import Reference, compare_engine, graph_of
from export.plans.plan import build_plan
from export.plans.plan_steps import PlanConfig, PlanStep, plan_steps, wanted
from export.progress import Progress, announcer


def build_plans(
    bundle: Path,
    config: PlanConfig,
    on_progress: Callable[[Progress], None] | None = None,
    reference: Reference | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> Bundle:
    """Build what is missing or changed, commit, and return the opened bundle.

    `reference`: what the float32 network of a graph gives for its tries. Raises BundleError, InputError, OutputError,
    EngineMismatch; ParityError when an engine is wrong, which is then not kept.
    """
    target, tell = config.target(), on_progress or (lambda progress: None)
    Bundle.open(bundle, family="")  # refused before a lock is taken
    with BundleWriter(bundle) as writer:
        # Read again: another build may have ended just now.
        manifest = Bundle.open(bundle, family="").manifest
        names = wanted({name: graph.precision for name, graph in manifest.graphs.items()}, config)
        graphs = {name: manifest.graphs[name] for name in names}
        steps = plan_steps(writer, target, config, graphs, by_network=reference is not None)
        others = {folder: engines for folder, engines in manifest.engines.items() if folder != target.folder}
        plans = intact(writer, manifest.engines[target.folder], names) if target.folder in manifest.engines else {}
        build = _Builder(writer, manifest, target, config.device_id, reference, on_warning or (lambda text: None))
        for number, step in enumerate(steps, start=1):
            announce = announcer(tell, what="plan", graph=step.name, number=number, of=len(steps))
            plan = step.plan or build(step, graphs[step.name], announce)
            announce("reuse" if step.plan else "done", parity=plan.parity.get("max"))
            plans[step.name] = plan
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


@dataclass(frozen=True)
class _Builder:
    """Builds one plan after the other, of one bundle for one target."""

    writer: BundleWriter
    manifest: Manifest
    target: Target
    device_id: int
    reference: Reference | None
    warn: Callable[[str], None]

    def __call__(self, step: PlanStep, graph: GraphRecord, announce: Callable[..., None]) -> PlanRecord:
        writer, target, device_id = self.writer, self.target, self.device_id
        family, onnx = families.find(target.family), writer.path / graph.main
        if writer.find(graph.name, graph.key) != graph:
            command = build_command(writer.path, self.manifest.to_json())
            raise BundleError(f"{onnx} was changed after the build; rebuild it: {command}")
        if not step.unchecked:
            graph_of(self.manifest, graph)  # raises, if it does, before the long work
        if family.plans_for == "cpu":
            return self._for_cpu(step, graph, announce)
        check_build_memory(family, graph, target, device_id)
        folder = writer.stage_plan(target, graph.name, step.key)
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
        if not step.unchecked:
            announce("parity")
            parity = compare_engine(
                self.manifest, graph, target, plan=plan, onnx=onnx, reference=self.reference, device_id=device_id
            )
        attention = {**report.attention, "text": attention_line(report.attention)}
        built: dict[str, Any] = {
            "seconds": round(report.seconds, 2),
            "peak_bytes": report.peak_bytes,
            "not_compared": step.unchecked,
            "graph": graph.key,  # a plan without weights outlives it
        }
        layers = {"layers_from": report.layers_from, "layers": list(report.layers), "warnings": list(report.warnings)}
        facts = {"name": graph.name, "target": target.to_json(), "attention": attention, "parity": parity}
        (folder / BUILD_REPORT).write_text(to_text(facts | built | layers), encoding="utf-8")
        return writer.finish(
            PlanRecord(
                name=graph.name,
                key=step.key,
                graph_key=graph.decides_plan(stripped=target.options.strip),
                target_folder=target.folder,
                parity=parity,
                attention=attention,
                built=built,
            )
        )

    def _for_cpu(self, step: PlanStep, graph: GraphRecord, announce: Callable[..., None]) -> PlanRecord:
        """Compiled and timed: the record says which engine runs the graph, and the report by how much."""
        from export.plans.openvino_plan import build_openvino_plan

        writer, target, start_s = self.writer, self.target, time.perf_counter()
        folder = writer.stage_plan(target, graph.name, step.key)
        announce("plan")
        made = build_openvino_plan(
            self.manifest,
            graph,
            onnx=writer.path / graph.main,
            out=folder / f"{graph.name}.plan",
            reference=self.reference,
            compare=not step.unchecked,
        )
        if made.choice.why_not:
            self.warn(f"{graph.name}: {made.choice.why_not}")
        built = {
            "seconds": round(time.perf_counter() - start_s, 2),
            "not_compared": step.unchecked,
            "graph": graph.key,
            "engine": made.choice.to_json(),
        }
        facts = {"name": graph.name, "target": target.to_json(), "parity": dict(made.parity)}
        (folder / BUILD_REPORT).write_text(to_text(facts | built), encoding="utf-8")
        return writer.finish(
            PlanRecord(
                name=graph.name,
                key=step.key,
                graph_key=graph.key,
                target_folder=target.folder,
                parity=made.parity,
                built=built,
            )
        )
