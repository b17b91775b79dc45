"""One plan of one graph, built as a bundle's are."""

from __future__ import annotations

from engines import families
from engines.plans import PlanOptions
from engines.spec import NetworkSpec
from tests.gpu.artefacts import Artefact
from tests.gpu.lines import Found


def build(plan: Artefact, graph: Artefact, capability: str) -> Found:
    """`capability`: to build for, ahead of time; empty: for the GPU at hand. Raises what the builder raises."""
    from export.plans.plan import build_plan
    from export.plans.plan_target import plan_target

    facts = graph.wait(0)
    family, spec = families.find(plan.family), NetworkSpec.from_json(facts["spec"])
    target = plan_target(family, (capability,) if capability else (), PlanOptions())
    report = build_plan(family, spec=spec, onnx=graph.path, out=plan.path, target=target)
    plan.announce()
    size_bytes = plan.size_bytes()
    return Found(
        text=f"{size_bytes / 1e6:.4g} MB in {report.seconds:.1f} s for {', '.join(target.capabilities)}, "
        f"peak {report.peak_bytes / 1e9:.3g} GB of memory" + "".join(f"; {w}" for w in report.warnings[:1]),
        facts={"seconds": report.seconds, "bytes": size_bytes, "peak_bytes": report.peak_bytes},
    )
