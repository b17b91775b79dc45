"""Graphs of a bundle in 8 bits: calibrated on clips made with the bundle's own graphs, and held against them.

Half of the recorded calls tell the ranges, the other half the price: what comes out is compared with what the graph in
full precision makes of the same calls. Random inputs would judge nothing here: ranges are those of real ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.errors import InputError, ParityError
from engines.file_record import hash_file
from engines.manifest import GraphRecord
from engines.onnx_backend import OnnxBackend
from engines.spec import Quantization
from export.graphs.calibration import Sample
from export.graphs.graph import Graph
from export.graphs.graph_steps import GraphStep
from export.graphs.parity import relative_errors
from export.graphs.quantize import quantize
from export.graphs.shared_weights import unlinked
from export.graphs.structure import structure

# rms error over rms of the output. A wrong graph is off by 1. int8 keeps 1/127 of a tensor's largest value, fp8 three
# bits of mantissa: through the depth of the UNet some percent. What that does to pictures is in docs/performance.md.
LIMIT_RMS = {"int8": 0.25, "fp8": 0.25}


@dataclass(frozen=True, kw_only=True)
class Unfinished(Bundle):
    """A bundle whose graphs are finished and not committed yet."""

    writer: BundleWriter

    def model_path(self, name: str) -> Path:
        return self.writer.where(self.graph(name))


class Calls:
    """Recorded calls by graph: a clip is animated once, whatever is made of its calls.

    `record`: what a graph of a bundle is given when the clip to calibrate on is animated.
    """

    def __init__(self, record: Callable[[str, Bundle], Sequence[Sample]]) -> None:
        self._record = record
        self._made: dict[str, Sequence[Sample]] = {}

    def of(self, graph: str, bundle: Bundle) -> Sequence[Sample]:
        """Two at least: one tells ranges, one is compared on. Raises InputError for a clip too short for that."""
        if graph not in self._made:
            self._made[graph] = self._record(graph, bundle)
        if (count := len(self._made[graph])) < 2:
            raise InputError(
                f"the clip to calibrate on makes {count} call of {graph}, two are needed; give a longer driving video"
            )
        return self._made[graph]


def quantization_facts(kind: Quantization, clip: tuple[Path, Path] | None) -> dict[str, Any]:
    """What decides an 8-bit graph beside the graph it is made from: JSON data. Raises InputError for a missing file."""
    for path in clip or ():
        if not path.is_file():
            raise InputError(f"{path}, to calibrate on, is no file; give a portrait and a driving video")
    calibration = [hash_file(path).sha256 for path in clip] if clip else "drawn"
    return {"kind": kind, "calibration": calibration}


def build_quantized(step: GraphStep, *, bundle: Unfinished, calls: Calls, announce: Callable[..., None]) -> GraphRecord:
    """Make and compare one. Raises ParityError for one that is worse than rounding can be; it is not kept."""
    graph = step.graph
    assert graph.quantized is not None
    start_s, source = time.perf_counter(), bundle.graph(graph.source)
    announce("calibrate")
    recorded = calls.of(graph.source, bundle)
    announce("quantize")
    path = bundle.writer.stage(graph.name, step.key) / f"{graph.name}.onnx"
    with unlinked(bundle.model_path(graph.source), beside=path.parent) as readable:
        report = quantize(
            readable,
            path,
            kind=graph.quantized,
            samples=recorded[::2],
            # A bundle in fp32 is for CPUs, where 8-bit convolutions cost accuracy and gain nothing; but no CPU has
            # products in fp8.
            for_tensorrt=source.precision == "fp16" or graph.quantized == "fp8",
        )
    announce("parity")
    parity = _compare(graph, bundle.model_path(graph.source), path, recorded[1::2])
    record = bundle.writer.finish(
        GraphRecord(
            name=graph.name,
            key=step.key,
            spec=graph.spec,
            precision=graph.precision,
            structure=structure(path),
            parity=parity,
            flops=source.flops,
            built={
                "seconds": round(time.perf_counter() - start_s, 2),
                "quantized": {"nodes": dict(report.quantized), "left": dict(report.left), "samples": report.samples},
                "facts": step.facts,
            },
        )
    )
    announce("done", parity=parity["rms"])
    return record


def _compare(graph: Graph, full: Path, in_8_bits: Path, calls: Sequence[Sample]) -> dict[str, float]:
    """Worst errors over the rms of what the full graph makes of the same calls."""
    backend = OnnxBackend()
    spec = replace(graph.spec, name=graph.source)
    reference, made = backend.load(spec, full), backend.load(graph.spec, in_8_bits)
    [output] = graph.spec.outputs
    worst = {"max": 0.0, "rms": 0.0}
    for call in calls:
        expected, found = (backend.download(s.run(dict(call))[output.name]) for s in (reference, made))
        errors = relative_errors(found, expected)
        worst = {kind: float(np.maximum(worst[kind], errors[kind])) for kind in worst}  # a NaN stays one
    limit = LIMIT_RMS[str(graph.quantized)]
    if not worst["rms"] <= limit:  # NaN too
        raise ParityError(
            f"{graph.name} is not {graph.source}: rms error {worst['rms']:.3g} of the {output.name}'s rms on "
            f"recorded calls, limit {limit}; the graph was not kept. Build without --quantize, and please report this"
        )
    return worst
