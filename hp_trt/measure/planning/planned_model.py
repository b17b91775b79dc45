"""What is planned for: the graphs of a bundle, or of a preset at a size that nobody has built yet.

A bundle's own records say how much arithmetic its graphs are and how large their files; what they move and hold, and
everything of a preset alone, is known in the room of the model.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from engines.bundle import Bundle
from engines.errors import InputError
from engines.spec import NetworkSpec, plain_name
from hp_trt.hunyuanportrait.counts import CELL_PX, TOKENS, counts_of, tokens_of
from hp_trt.hunyuanportrait.profiles import DISTILLED
from hp_trt.models import find_model
from runtime.hunyuanportrait.presets import HALF, PRESETS
from runtime.hunyuanportrait.sampling import Sampling
from runtime.work import Call

SIZE_STEP = 64  # pixels: three halvings of latents that are an eighth of the picture
# What the products of a record's precision are in. What lies between products of 8 bits stays half.
_DTYPES = {"fp32": "float32", "fp16": "float16", "fp8": "float8", "int8": "int8"}
_BYTES = {"float32": 4, "float16": 2, "float8": 2, "int8": 2}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A graph at one size: a unit (a row, a frame, a step) of one call, and what a call costs whatever its units."""

    flops: float  # of a unit; one multiply-add is 2
    moved_bytes: float  # of a unit
    held_bytes: float  # of a unit, at most at one time
    weight_bytes: float  # of a call
    dtype: str  # of products: "float32" | "float16" | "float8" | "int8"


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """Graphs of one size and precision."""

    preset: str
    size: int  # pixels of a side
    window: int  # F
    precision: str  # "fp32" | "fp16"
    sampling: Sampling  # the preset's own
    token_shape: tuple[int, int]  # of a frame's motion tokens: m, D
    graphs: Mapping[str, Any]  # a bundle's records; empty without one

    @property
    def has(self) -> Container[str]:
        """Graphs of live mode that not all weights make: the bundle's, or those that the preset's own weights make."""
        return self.graphs or DISTILLED.get(self.preset, frozenset())

    @property
    def cells(self) -> int:
        return (self.size // CELL_PX) ** 2

    def of_call(self, call: Call) -> Cost:
        """Of the graph of one call, at its window."""
        if not call.total:
            return self.cost(call.graph, call.frames)
        flops = 8 * call.frames * self.cells  # a matrix product of four channels, nothing else
        return Cost(flops=flops, moved_bytes=0.0, held_bytes=0.0, weight_bytes=0.0, dtype="float32")

    def cost(self, graph: str, frames: int = 0) -> Cost:
        """`frames`: of the denoiser's window, where that is not the model's own."""
        frames = frames or self.window
        record = self.graphs.get(graph)
        plain, kind = plain_name(graph)
        counts = counts_of(self.preset, plain)
        dtype = _DTYPES[kind] if kind else ("float16" if self.precision == "fp16" and graph in HALF else "float32")
        if record is not None:
            dtype = _DTYPES[record.precision]
        size = _BYTES[dtype]
        if counts is None:
            if record is None:
                raise InputError(f"how much work {graph} is only a bundle that has it knows; add --bundle DIR")
            moved = held = _tensor_bytes(record)
        else:
            moved, held = (size * counts.at(part, frames, self.cells) for part in ("moved", "held"))
        if record is None:
            assert counts is not None, f"neither a record nor counts of {graph}"
            flops, weights = counts.at("flops", frames, self.cells), float(size * counts.weights)
        else:
            flops = record.flops["call"] * (frames if _counts_a_frame(record.spec) else 1)
            weights = float(record.weights_bytes)
        return Cost(flops=flops, moved_bytes=moved, held_bytes=held, weight_bytes=weights, dtype=dtype)

    def flops(self, call: Call) -> float:
        """Of all its times."""
        return call.times * call.units * (call.total or 1) * self.of_call(call).flops

    def bytes(self, call: Call) -> float:
        """Moved, at the least, by all its times: everything but products and attention is taken to be fused."""
        if call.total:
            slots = call.units * call.frames
            return call.times * 4 * (4 * self.cells * (2 * call.total + slots) + call.total * slots)
        cost = self.of_call(call)
        return call.times * (cost.weight_bytes + call.units * cost.moved_bytes)

    def given_bytes(self, graph: str) -> int:
        """What a graph gives for one unit of a frame; only a bundle knows it."""
        (given,) = self.graphs[graph].spec.outputs
        return math.prod(dim for dim in given.dims if isinstance(dim, int)) * (2 if given.dtype == "float16" else 4)

    def resized(self, size: int) -> PlannedModel | None:
        """The same networks at another size; None where only a bundle knows them."""
        return None if self.preset not in PRESETS else model_of_preset(self.preset, size=size, precision=self.precision)


def model_of_preset(
    preset: str, *, size: int | None = None, window: int | None = None, precision: str = "fp16"
) -> PlannedModel:
    """A preset at its own size or another. Raises InputError."""
    if preset not in PRESETS:
        raise InputError(f"there is no preset {preset!r}; there are: {', '.join(PRESETS)}")
    facts = PRESETS[preset]
    size = facts.size if size is None else size
    if size < SIZE_STEP or size % SIZE_STEP:
        near = max(round(size / SIZE_STEP), 1) * SIZE_STEP
        raise InputError(f"--size must be a multiple of {SIZE_STEP} pixels, got {size}; the nearest is {near}")
    return PlannedModel(
        preset=preset,
        size=size,
        window=window or facts.window,
        precision=precision,
        sampling=Sampling.from_manifest({**facts.sampling, "window": window or facts.window}),
        token_shape=TOKENS[preset],
        graphs={},
    )


def model_of_bundle(bundle: Bundle, *, size: int | None = None) -> PlannedModel:
    """A bundle's graphs. Raises InputError for a `size` that it was not built for, BundleError."""
    find_model(bundle)  # whose numbers are used
    manifest = bundle.manifest
    height, width = manifest.size
    if size is not None and (height, width) != (size, size):
        raise InputError(
            f"{bundle.path} was built for {width} x {height} pixels, --size asks for {size}; leave --size out, or plan "
            f"without the bundle: --preset {manifest.preset} --size {size}"
        )
    return PlannedModel(
        preset=manifest.preset,
        size=height,
        window=manifest.frames,
        precision=manifest.precision,
        sampling=Sampling.from_manifest(manifest.sampling),
        token_shape=tokens_of(bundle),
        graphs=manifest.graphs,
    )


def _counts_a_frame(spec: NetworkSpec) -> bool:
    """Whether a record counts a frame of a usual window: of graphs that take windows of any length it does."""
    return "frames" in spec.ranges and spec.unit != "frames"


def _tensor_bytes(record: Any) -> float:
    """Inputs and outputs of a unit: all that is known of a graph that nobody has counted."""
    total = 0
    for tensor in (*record.spec.inputs, *record.spec.outputs):
        count = 1
        for dim in tensor.dims:
            count *= dim if isinstance(dim, int) else 1
        total += count * _BYTES.get(tensor.dtype, 8)
    return float(total)
