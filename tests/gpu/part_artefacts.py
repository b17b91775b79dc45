"""Exports the graphs of one size, and builds the plans that can be built without a GPU, on the CPU, aside.

What an earlier process of the same check has done is left as it is.
"""

from __future__ import annotations

import gc
import time
from functools import partial
from pathlib import Path

from export.graphs.trace import export_onnx
from tests.gpu.artefacts import Artefact, run_announced
from tests.gpu.lines import Found, Lines
from tests.gpu.networks import Networks, architecture_of, graphs_of
from tests.gpu.plans import build
from tests.gpu.sizes import Size


def tell_artefacts(
    lines: Lines, size: Size, work: Path, graphs: tuple[str, ...], families: tuple[str, ...], capability: str
) -> None:
    section, known = f"build, {size.name}", graphs_of(size)
    artefacts = [Artefact(work, name, family) for name in graphs for family in ("", *families)]
    lines.plan(section, [_name(artefact) for artefact in artefacts if not artefact.done])
    networks = Networks(architecture_of(size), "cpu")
    for number, name in enumerate(graphs):
        artefact = Artefact(work, name)

        def export(name: str = name, artefact: Artefact = artefact) -> Found:
            graph, start = known[name], time.perf_counter()
            module = graph.make(networks).eval().requires_grad_(False)
            module = module.half() if graph.half else module
            artefact.path.parent.mkdir(parents=True, exist_ok=True)
            export_onnx(
                module, graph.spec, graph.example({n: max(s, 2) for n, s in graph.opt_sizes().items()}), artefact.path
            )
            seconds, size_bytes = time.perf_counter() - start, artefact.size_bytes()
            artefact.announce(spec=graph.spec.to_json())
            return Found(
                text=f"{size_bytes / 1e6:.4g} MB in {seconds:.1f} s", facts={"seconds": seconds, "bytes": size_bytes}
            )

        if not artefact.done:
            run_announced(lines, section, _name(artefact), export, artefact)
        # A halved network is no good for a graph that wants it in float32.
        halved = set(known[name].networks) if known[name].half else set()
        networks.keep({n for g in graphs[number + 1 :] for n in known[g].networks} - halved)
        gc.collect()
        for family in families:
            plan = Artefact(work, name, family)
            if not plan.done:
                call = partial(build, plan, artefact, capability)
                run_announced(lines, section, _name(plan), call, plan)


def _name(artefact: Artefact) -> str:
    return f"{artefact.family} plan, {artefact.graph}" if artefact.family else f"export, {artefact.graph}"
