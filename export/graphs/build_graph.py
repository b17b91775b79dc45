"""One graph of a bundle from its networks: made, exported, compared, and finished."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Set
from pathlib import Path

from torch import nn

from engines.bundle_writer import BundleWriter
from engines.manifest import GraphRecord
from engines.onnx_backend import OnnxBackend
from export.graphs.graph_steps import GraphStep
from export.graphs.parity import check, expectations, sizes_of_an_export
from export.graphs.shared_weights import share_weights
from export.graphs.structure import structure
from export.graphs.trace import export_onnx


class SharedNetworks:
    """Modules with float32 parameters by network name: `load`ed when first asked for, and shared between graphs."""

    def __init__(self, load: Callable[[str], nn.Module]) -> None:
        self._load = load
        self._made: dict[str, nn.Module] = {}

    def __call__(self, network: str) -> nn.Module:
        if network not in self._made:
            self._made[network] = self._load(network)
        return self._made[network]

    def keep(self, wanted: Set[str]) -> None:
        """Let go of all but these."""
        self._made = {name: module for name, module in self._made.items() if name in wanted}
        gc.collect()


def build_graph(
    step: GraphStep,
    *,
    writer: BundleWriter,
    networks: SharedNetworks,
    later: Set[str],
    flops: Callable[[], Mapping[str, int]],
    owner: Path | None,
    announce: Callable[..., None],
    threads: int | None = None,
) -> GraphRecord:
    """`later`: networks that are still to be kept. `owner`: the graph whose file holds this one's weights. `flops`
    counts its arithmetic, which takes seconds: once it is known to be right. `threads`: of ONNX Runtime.

    Raises ParityError when the graph is wrong, which is then not kept.
    """
    graph, start_s = step.graph, time.perf_counter()
    announce("load")
    module = graph.make(networks).eval().requires_grad_(False)
    announce("reference")
    expected = expectations(graph, module, sizes=sizes_of_an_export(graph)) if step.facts["parity"] else []
    announce("export")
    if graph.half:
        later = later - set(graph.networks)
        networks.keep(later)  # of a module that holds its weights in another form, all else is let go of
        module = module.half()  # in place: the networks that it holds are no reference any more
    path = writer.stage(graph.name, step.key) / f"{graph.name}.onnx"
    example = graph.example({name: max(size, 2) for name, size in graph.opt_sizes().items()})
    export_onnx(module, graph.spec, example, path)
    read = {} if owner is None else {"weights_bytes": share_weights(path, owner)}
    exported_s = time.perf_counter() - start_s
    del module
    networks.keep(later)  # before the session opens: a full-size UNet is 6 GB in each
    parity: dict[str, float] = {}
    if step.facts["parity"]:
        announce("parity")
        backend = OnnxBackend(threads=threads)
        session = backend.load(graph.spec, path)
        parity = check(graph, session, backend, expected)
        session.close()
    record = writer.finish(
        GraphRecord(
            name=graph.name,
            key=step.key,
            spec=graph.spec,
            precision=graph.precision,
            structure=structure(path),
            parity=parity,
            flops=flops(),
            built={
                "seconds": round(time.perf_counter() - start_s, 2),
                "export_seconds": round(exported_s, 2),
                **read,
                "facts": step.facts,
            },
        )
    )
    announce("done", parity=parity.get("max"))
    return record
