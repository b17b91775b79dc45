"""What a bundle holds, for people and for machines. The bundle is opened, so every file was hashed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from engines.bundle import Bundle
from engines.spec import TensorSpec


def summary(bundle: Bundle) -> dict[str, Any]:
    """The manifest as JSON data, with the folder and its size."""
    graphs = bundle.manifest.graphs.values()
    total = sum(f.bytes for record in graphs for f in record.files.values())
    return {"bundle": str(bundle.path), "bytes": total, **bundle.manifest.to_json()}


def show(bundle: Bundle, console: Console | None = None) -> None:
    """Print the bundle: a few lines about the whole, then a row a graph."""
    console = console or Console(highlight=False)
    manifest = bundle.manifest
    height, width = manifest.size
    console.print(f"[bold]{bundle.path}[/]: every file is as it was built", soft_wrap=True)
    for name, text in (
        ("preset", manifest.preset),
        ("size", f"{width} x {height} pixels, windows of {manifest.frames} frames"),
        ("precision", manifest.precision),
        ("weights", f"{manifest.weights['kind']}: {manifest.weights['source']}"),
        ("sampling", ", ".join(f"{k} {v}" for k, v in manifest.sampling.items())),
        ("built", f"{manifest.created} with " + ", ".join(f"{k} {v}" for k, v in manifest.versions.items())),
    ):
        console.print(f"  {name:10} {text}", markup=False, soft_wrap=True)
    table = Table("graph", "dtype", "MB", "GFLOP", "worst error / rms", "built in s")
    for record in manifest.graphs.values():
        size = sum(f.bytes for f in record.files.values()) / 1e6
        worst = record.parity.get("max")
        table.add_row(
            record.name,
            record.precision,
            f"{size:.1f}",
            f"{record.flops.get('call', 0) / 1e9:.3g}",
            "not checked" if worst is None else f"{worst:.1e}",
            f"{record.built.get('seconds', 0):.0f}",
        )
    console.print(table)
    console.print("GFLOP: one call with every run-time dimension at 1 (a row, a frame, a step).", soft_wrap=True)
    for record in manifest.graphs.values():
        inputs, outputs = _tensors(record.spec.inputs), _tensors(record.spec.outputs)
        console.print(f"{record.name}: {inputs} -> {outputs}", markup=False, soft_wrap=True)


def _tensors(tensors: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{t.name} ({', '.join(map(str, t.dims))})" for t in tensors)
