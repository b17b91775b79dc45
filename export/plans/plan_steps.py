"""The plans of a build before anything is done: for what target and of which graphs they are, what the bundle holds of
each, and why another would be built."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engines import families
from engines.bundle_writer import BundleWriter
from engines.errors import InputError
from engines.gpu import NoGpu, find_gpu
from engines.manifest import GraphRecord, Manifest
from engines.plan_choice import find_here, misfit
from engines.plans import PlanOptions, PlanRecord, Target
from export.plans.engine_parity import why_no_reference
from export.plans.plan_target import plan_key, plan_target


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


@dataclass(frozen=True, kw_only=True)
class PlanStep:
    """A plan to be built, or one that the bundle holds already."""

    name: str  # the graph's
    key: str = ""  # of its content; empty where its graph is built first
    plan: PlanRecord | None = None  # None: it is still to be built
    unchecked: str = ""  # why its engine cannot be compared here
    why: str = ""  # it would be built; empty where the bundle holds it

    @property
    def build(self) -> bool:
        return self.plan is None


def plan_steps(
    writer: BundleWriter,
    target: Target,
    config: PlanConfig,
    graphs: Mapping[str, GraphRecord | None],
    *,
    by_network: bool,
) -> list[PlanStep]:
    """What a build does with the plan of each graph, in order; the bundle is looked at and not touched.

    `graphs`: those that are `wanted`, each as the bundle holds it, None for one that is built first. `by_network`:
    engines are compared with their networks, whose weights are at hand. Raises what `why_not_compared` raises.
    """
    standing = writer.manifest()
    steps = []
    for name, graph in graphs.items():
        if graph is None:
            steps.append(PlanStep(name=name, why="its graph is built first"))
            continue
        unchecked = why_not_compared(target, graph, config, by_network=by_network)
        key, plan = find_plan(writer, target, graph, compared=not unchecked)
        why = "" if plan else _why(standing, target, name, key, compared=not unchecked)
        steps.append(PlanStep(name=name, key=key, plan=plan, unchecked=unchecked, why=why))
    return steps


def wanted(precisions: Mapping[str, str], config: PlanConfig) -> list[str]:
    """Of which graphs to build plans: all that the target has products for, or those asked for.

    `precisions`: of the bundle's graphs, by name. Raises InputError for one that the bundle has not, or the target
    cannot run.
    """
    if unknown := [name for name in config.only if name not in precisions]:
        raise InputError(f"there is no graph {', '.join(unknown)}; choose from {', '.join(precisions)}")
    family, capabilities = families.find(config.family), config.target().capabilities
    fitting = [name for name, precision in precisions.items() if family.computes(precision, capabilities)]
    if unfit := [name for name in config.only if name not in fitting]:
        raise InputError(
            f"{config.family} has no {precisions[unfit[0]]} products for capability "
            f"{', '.join(capabilities)}, which {unfit[0]} is made of; leave it out"
        )
    return [name for name in fitting if not config.only or name in config.only]


def find_plan(
    writer: BundleWriter, target: Target, graph: GraphRecord, *, compared: bool
) -> tuple[str, PlanRecord | None]:
    """The content key of a graph's plan, and its record where the bundle holds it already.

    Whether an engine was compared is part of its key: one that was is never replaced by one that was not.
    """
    content = plan_key(target, graph)
    keys = [hashlib.sha256(f"{content} {word}".encode()).hexdigest() for word in ("compared", "built")]
    key = keys[0] if compared else keys[1]
    found = writer.find_plan(target, graph.name, keys[0])
    return key, found if found or compared else writer.find_plan(target, graph.name, key)


def why_not_compared(target: Target, graph: GraphRecord, config: PlanConfig, *, by_network: bool) -> str:
    """Why the engine of a graph cannot be compared here; empty when it can. `by_network`: its network will be run too.

    Raises InputError when it can, and what comparing takes is not installed.
    """
    if not config.parity:
        return "--no-parity"
    if families.find(config.family).plans_for == "cpu":
        return why_no_reference(graph, by_network)
    gpu = find_gpu(config.device_id)
    if isinstance(gpu, NoGpu):
        return f"no GPU to run it on: {gpu.found}"
    here = find_here(families.find(config.family), config.device_id)
    return misfit(target, here) or why_no_reference(graph, by_network)


def _why(standing: Manifest | None, target: Target, name: str, key: str, *, compared: bool) -> str:
    sets = standing.engines if standing else {}
    engines = sets.get(target.folder)
    if engines is not None and name in engines.plans:
        plan = engines.plans[name]
        if plan.key == key:
            return "its files are damaged"
        return "it was never compared" if compared and not plan.parity else "this program builds differently"
    if engines is not None:
        return "the bundle has plans for this target, and not this one"
    others = [e.target for e in sets.values() if e.target.family == target.family]
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
