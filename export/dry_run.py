"""What a build would do, and why, without doing it: it writes nothing, takes no lock and needs no weights in memory."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.manifest import GraphRecord
from export.plans.plan_steps import PlanConfig, PlanStep, plan_steps, wanted

if TYPE_CHECKING:  # torch
    from export.build import BuildConfig
    from export.graphs.graph_steps import GraphStep


@dataclass(frozen=True, kw_only=True)
class Line:
    """One graph or plan: whether it would be built again."""

    what: str  # "graph" | "plan"
    name: str
    build: bool
    why: str  # of a build; empty for what stays

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.what} {self.name}: " + (f"build, {self.why}" if self.build else "reuse")


def dry_run(bundle: Path, graphs: BuildConfig | None, plans: PlanConfig | None) -> list[Line]:
    """The steps of a build of `graphs`, then of `plans`; without `graphs` plans are of those that the bundle holds.

    Raises what the build would refuse at once.
    """
    lines: list[Line] = []
    records: Mapping[str, GraphRecord | None]
    if graphs is not None:
        from export.build import graph_steps, open_weights

        source, writer = open_weights(graphs), BundleWriter(bundle, preset=graphs.preset)  # not entered: it looks
        writer.check()
        steps = graph_steps(graphs, writer, functools.cache(source.fingerprint))
        lines += [_line("graph", step) for step in steps]
        precisions, records = {s.name: s.graph.precision for s in steps}, {s.name: s.record for s in steps}
    else:
        records = Bundle.open(bundle, family="").manifest.graphs
        precisions = {name: record.precision for name, record in records.items()}
    if plans is not None:
        writer = BundleWriter(bundle)
        writer.check()
        chosen = {name: records[name] for name in wanted(precisions, plans)}
        by_network = graphs is not None
        lines += [_line("plan", s) for s in plan_steps(writer, plans.target(), plans, chosen, by_network=by_network)]
    return lines


def _line(what: str, step: GraphStep | PlanStep) -> Line:
    return Line(what=what, name=step.name, build=step.build, why=step.why)
