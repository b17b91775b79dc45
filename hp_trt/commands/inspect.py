"""`hp-trt inspect`: what a bundle holds, for people and for machines. It is opened, so every file is hashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from engines.engine_choice import ENGINES
from engines.errors import bounded
from hp_trt.commands import options
from hp_trt.console import Reporter
from hp_trt.interface.tables import print_table
from hp_trt.shipped import bundle_folder

if TYPE_CHECKING:
    from engines.bundle import Bundle, Record
    from engines.manifest import GraphRecord
    from engines.plans import EngineSet
    from engines.spec import TensorSpec


def inspect(
    bundle: Annotated[Path, typer.Argument(parser=bundle_folder, metavar="BUNDLE", help=options.BUNDLE)],
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Check every file of a bundle and say what is in it."""
    from engines.bundle import Bundle
    from hp_trt.models import MODELS, find_model

    opened = Bundle.open(bundle)
    if opened.manifest.model in MODELS:  # of another version's model the files can be checked all the same
        find_model(opened)
    with Reporter(as_json=json) as report:
        if json:
            report.result("", **summary(opened))
        else:
            show(opened)


def summary(bundle: Bundle) -> dict[str, Any]:
    """The manifest as JSON data, with the folder, its size, and what moves its portraits."""
    from hp_trt.models import driver_of

    manifest = bundle.manifest
    plans = [plan for engines in manifest.engines.values() for plan in engines.plans.values()]
    records: list[Record] = [*manifest.graphs.values(), *plans]
    files = {path: file.bytes for record in records for path, file in record.files.items()}  # some are of several
    driver = driver_of(manifest.model)
    return {"bundle": str(bundle.path), "bytes": sum(files.values()), "driver": driver, **manifest.to_json()}


def show(bundle: Bundle, console: Console | None = None) -> None:
    """Print the bundle: a few lines about the whole, a row a graph, and a row a plan."""
    from hp_trt.interface.render import RATE
    from hp_trt.models import ENHANCER, driver_of

    console = console or Console(highlight=False)
    manifest = bundle.manifest
    height, width = manifest.size
    driver, frames = driver_of(manifest.model), f"windows of {manifest.frames} frames"
    if driver == "audio":
        frames = (
            f"clips of {manifest.frames} frames, {float(manifest.frames / RATE):g} s, each going on from "
            f"{manifest.geometry.get('motion_frames')} motion frames"
        )
    console.print(f"[bold]{_quoted(bundle.path)}[/]: every file is as it was built", soft_wrap=True)
    for name, text in (
        ("preset", manifest.preset),
        ("model", f"{manifest.model}, {_MOVED_BY[driver] if manifest.model != ENHANCER else 'which enlarges videos'}"),
        ("size", f"{width} x {height} pixels, {frames}"),
        ("precision", manifest.precision),
        ("weights", f"{manifest.weights['kind']}: {manifest.weights['source']}"),
        ("sampling", ", ".join(f"{k} {v}" for k, v in manifest.sampling.items())),
        ("built", f"{manifest.created} with " + ", ".join(f"{k} {v}" for k, v in manifest.versions.items())),
    ):
        console.print(f"  {name:10} {bounded(text)}", markup=False, soft_wrap=True)
    rows = []
    for record in manifest.graphs.values():
        graph = sum(file.bytes for path, file in record.files.items() if path == record.main)
        size = (graph + record.weights_bytes) / 1e6  # of weights that it shares, its own
        worst = record.parity.get("max")
        row = (
            record.name,
            record.precision,
            f"{size:.1f}",
            f"{record.flops.get('call', 0) / 1e9:.3g}",
            "not checked" if worst is None else f"{worst:.1e}",
            f"{record.built.get('seconds', 0):.0f}",
        )
        rows.append(row)
    headings = ("graph", "dtype", "MB", "GFLOP", "worst error / rms", "built in s")
    print_table(console, headings, rows, left=("dtype",))
    console.print("GFLOP: one call with every run-time dimension at 1 (a row, a frame, a step).", soft_wrap=True)
    for record in manifest.graphs.values():
        inputs, outputs = _tensors(record.spec.inputs), _tensors(record.spec.outputs)
        console.print(bounded(f"{record.name}: {inputs} -> {outputs}"), markup=False, soft_wrap=True)
    for engines in manifest.engines.values():
        _show_engines(engines, manifest.graphs, console)


_MOVED_BY = {"video": "moved by a driving video", "audio": "moved by speech", None: "of another version"}


def _show_engines(engines: EngineSet, graphs: Mapping[str, GraphRecord], console: Console) -> None:
    target = engines.target
    chosen = [k.replace("_", " ") for k, v in asdict(target.options).items() if v is True]
    where = target.gpu or f"capability {', '.join(target.capabilities)}"
    console.print(
        f"[bold]{target.folder}[/]: {target.family} {_quoted(target.version)} for {_quoted(where)} on "
        f"{_quoted(target.platform)}"
        f"{', ' + ', '.join(chosen) if chosen else ''}",
        soft_wrap=True,
    )
    if any(plan.engine for plan in engines.plans.values()):
        _show_table(engines, console)
        return
    rows = []
    for plan in engines.plans.values():
        worst = plan.parity.get("max")
        # A plan without weights stays when the weights change.
        other = "" if plan.built.get("graph") == graphs[plan.name].key else ", other weights"
        row = (
            plan.name,
            f"{sum(f.bytes for f in plan.files.values()) / 1e6:.1f}",
            "not checked" if worst is None else f"{worst:.1e}{other}",
            f"{plan.built.get('seconds', 0):.0f}",
            f"{plan.built.get('peak_bytes', 0) / 2**30:.1f}",
            f"{plan.attention['fused']} of {plan.attention['count']}" if plan.attention else "not known",
        )
        rows.append(row)
    headings = ("plan", "MB", "worst error / rms", "built in s", "peak GiB", "fused attention")
    print_table(console, headings, rows, left=("fused attention",))
    for plan in engines.plans.values():
        if plan.attention and plan.attention["fused"] < plan.attention["count"]:
            console.print(bounded(f"{plan.name}: {plan.attention.get('text', '')}"), markup=False, soft_wrap=True)
    for reason in dict.fromkeys(p.built.get("not_compared", "") for p in engines.plans.values() if not p.parity):
        console.print(bounded(f"not checked: {reason}"), markup=False, soft_wrap=True)


def _show_table(engines: EngineSet, console: Console) -> None:
    """Of plans for a CPU: which engine runs each graph, and what was measured."""
    rows = []
    for plan in engines.plans.values():
        if (choice := plan.engine) is None:
            continue
        times = [f"{choice.ms[engine]:.3g}" if engine in choice.ms else "-" for engine in ENGINES]
        worst = plan.parity.get("max")
        checked = "not checked" if worst is None else f"{worst:.1e}"
        size = sum(f.bytes for f in plan.files.values()) / 1e6
        rows.append((plan.name, choice.exported, choice.bf16 or "-", *times, checked, f"{size:.1f}"))
    columns = [f"{engine} ms" for engine in ENGINES]
    headings = ("plan", "runs on", "in bf16", *columns, "worst error / rms", "MB")
    print_table(console, headings, rows, left=("runs on", "in bf16"))
    for plan in engines.plans.values():
        if plan.engine and plan.engine.why_not:
            console.print(bounded(f"{plan.name}: {plan.engine.why_not}"), markup=False, soft_wrap=True)


def _quoted(text: object) -> str:
    """Words of a bundle's own, which may mean something to a terminal, or to what prints in colours."""
    return escape(bounded(str(text)))


def _tensors(tensors: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{t.name} ({', '.join(map(str, t.dims))})" for t in tensors)
