"""What a build would do, and why, without doing it: it writes nothing, takes no lock and needs no weights in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.bundle_writer import BundleWriter
from engines.manifest import GraphRecord, Manifest
from engines.plans import Target
from export.plans.build_plans import PlanConfig, find_plan, why_not_compared

if TYPE_CHECKING:  # torch
    from export.build import BuildConfig


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


def graph_lines(config: BuildConfig) -> Iterator[Line]:
    """What `export.build.build_bundle` would do with each graph. Raises what it would refuse at once."""
    from export.build import find_graph, open_weights

    source, writer = open_weights(config), BundleWriter(config.bundle, preset=config.preset)  # not entered: it looks
    writer.check()
    standing = writer.manifest()
    for name, graph in config.graphs().items():
        facts, record = find_graph(writer, graph, config, source.fingerprint)
        before = standing.graphs.get(name) if standing else None
        yield Line(what="graph", name=name, build=record is None, why="" if record else _why_graph(before, facts))


def plan_lines(
    bundle: Path, config: PlanConfig, names: Sequence[str], rebuilt: set[str], *, judged: bool = False
) -> Iterator[Line]:
    """What `export.plans.build_plans.build_plans` would do with each plan, once the graphs `rebuilt` are built again.

    `judged`: the build would have the weights, to compare engines with their networks.
    """
    writer, target = BundleWriter(bundle), config.target()
    writer.check()
    manifest = writer.manifest()
    for name in names:
        if manifest is None or name in rebuilt or name not in manifest.graphs:
            yield Line(what="plan", name=name, build=True, why="its graph is built first")
            continue
        graph = manifest.graphs[name]
        compared = not why_not_compared(target, graph, config, judged=judged)
        key, found = find_plan(writer, target, graph, compared=compared)
        why = "" if found else _why_plan(manifest, target, name, key, compared=compared)
        yield Line(what="plan", name=name, build=found is None, why=why)


def _why_graph(before: GraphRecord | None, facts: Mapping[str, Any]) -> str:
    if before is None:
        return "the bundle has none"
    old = before.built.get("facts", {})
    reasons = []
    if old.get("spec") != facts["spec"]:
        reasons.append("its tensors change (size, frames or precision)")
    if old.get("half") != facts["half"]:
        reasons.append("the precision changes")
    if old.get("networks") != facts["networks"]:
        reasons.append("the networks' sizes change")
    if changed := _changed(old.get("weights"), facts["weights"]):
        reasons.append(f"other weights of {', '.join(changed)}")
    if (old.get("quantized") or {}) != (facts.get("quantized") or {}):
        reasons.append("it is calibrated otherwise")
    if changed := _changed(old.get("versions"), facts["versions"]):
        reasons.append("other versions of " + ", ".join(changed))
    if old.get("opset") != facts["opset"] or old.get("code") != facts["code"]:
        reasons.append("this program exports differently")
    if facts["parity"] and not old.get("parity"):
        reasons.append("it was never compared with its network")
    return ", ".join(reasons) or "its files are damaged"


def _changed(old: Any, new: Mapping[str, str]) -> list[str]:
    old = old if isinstance(old, Mapping) else {}
    return [name for name, value in new.items() if old.get(name) != value]


def _why_plan(manifest: Manifest, target: Target, name: str, key: str, *, compared: bool) -> str:
    engines = manifest.engines.get(target.folder)
    if engines is not None and name in engines.plans:
        plan = engines.plans[name]
        if plan.key == key:
            return "its files are damaged"
        return "it was never compared" if compared and not plan.parity else "this program builds differently"
    if engines is not None:
        return "the bundle has plans for this target, and not this one"
    others = [e.target for e in manifest.engines.values() if e.target.family == target.family]
    if not others:
        return f"the bundle has no plans for {target.family}"
    nearest = min((_differences(other, target) for other in others), key=len)
    return f"the bundle's plans are for {', '.join(nearest)}"


def _differences(other: Target, target: Target) -> list[str]:
    """How `other` differs from `target`, in words."""
    mine, theirs = target.to_json(), other.to_json()
    different = [k for k in mine if mine[k] != theirs[k] and k != "options"]
    options = [k for k, v in mine["options"].items() if theirs["options"][k] != v]
    words = [f"{k} {_word(theirs[k])}, not {_word(mine[k])}" for k in different]
    words += [f"{k} {theirs['options'][k]}, not {mine['options'][k]}" for k in options]
    return words


def _word(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value or "any")
