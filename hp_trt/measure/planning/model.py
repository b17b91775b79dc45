"""What is planned for: the graphs of a bundle, or of a preset at a size that nobody has built yet.

A bundle's own records say how much arithmetic its graphs are and how large their files; what they move and hold, and
everything of a preset alone, comes from `counts`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engines.bundle import Bundle
from engines.errors import InputError
from engines.spec import plain_name
from hp_trt.measure.planning.counts import CELL_PX, HALF, PRESETS, Counts
from runtime.hunyuanportrait.sampling import Sampling
from runtime.work import Call

SIZE_STEP = 64  # pixels: three halvings of latents that are an eighth of the picture
_STITCH = ("stitch", "live_stitch")  # a matrix product of four channels, nothing else
# What the products of a record's precision are in. What lies between products of 8 bits stays half.
_DTYPES = {"fp32": "float32", "fp16": "float16", "fp8": "float8", "int8": "int8"}
_A_FRAME = ("live_denoiser", "denoiser_inner", "denoiser_outer")  # a record counts a frame of a usual window of these
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
class Model:
    """Graphs of one size and precision."""

    preset: str
    size: int  # pixels of a side
    window: int  # F
    precision: str  # "fp32" | "fp16"
    sampling: Sampling  # the preset's own
    token_shape: tuple[int, int]  # of a frame's motion tokens: m, D
    graphs: Mapping[str, Any]  # a bundle's records; empty without one

    @property
    def cells(self) -> int:
        return (self.size // CELL_PX) ** 2

    def cost(self, graph: str, frames: int = 0) -> Cost:
        """`frames`: of the denoiser's window, where that is not the model's own."""
        frames = frames or self.window
        if graph in _STITCH:
            return Cost(
                flops=8 * frames * self.cells, moved_bytes=0.0, held_bytes=0.0, weight_bytes=0.0, dtype="float32"
            )
        record = self.graphs.get(graph)
        plain, kind = plain_name(graph)
        counts = _counts(self.preset, plain)
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
            flops = record.flops["call"] * (frames if plain in _A_FRAME else 1)
            weights = float(record.weights_bytes)
        return Cost(flops=flops, moved_bytes=moved, held_bytes=held, weight_bytes=weights, dtype=dtype)

    def flops(self, call: Call) -> float:
        """Of all its times."""
        return call.times * call.units * (call.total or 1) * self.cost(call.graph, call.frames).flops

    def bytes(self, call: Call) -> float:
        """Moved, at the least, by all its times: everything but products and attention is taken to be fused."""
        if call.graph in _STITCH:
            slots = call.units * call.frames
            return call.times * 4 * (4 * self.cells * (2 * call.total + slots) + call.total * slots)
        cost = self.cost(call.graph, call.frames)
        return call.times * (cost.weight_bytes + call.units * cost.moved_bytes)

    def deep_bytes(self) -> int:
        """Deep features of a frame and a row, between the denoiser's two parts; only a bundle knows them."""
        deep = self.graphs["denoiser_outer"].spec.input("deep_features")
        return math.prod(int(dim) for dim in deep.dims[2:]) * (2 if deep.dtype == "float16" else 4)

    def resized(self, size: int) -> Model | None:
        """The same networks at another size; None where only a bundle knows them."""
        return None if self.preset not in PRESETS else model_of_preset(self.preset, size=size, precision=self.precision)


def model_of_preset(
    preset: str, *, size: int | None = None, window: int | None = None, precision: str = "fp16"
) -> Model:
    """A preset at its own size or another. Raises InputError."""
    if preset not in PRESETS:
        raise InputError(f"there is no preset {preset!r}; there are: {', '.join(PRESETS)}")
    facts = PRESETS[preset]
    size = facts.size if size is None else size
    if size < SIZE_STEP or size % SIZE_STEP:
        near = max(round(size / SIZE_STEP), 1) * SIZE_STEP
        raise InputError(f"--size must be a multiple of {SIZE_STEP} pixels, got {size}; the nearest is {near}")
    return Model(
        preset=preset,
        size=size,
        window=window or facts.window,
        precision=precision,
        sampling=Sampling.from_manifest({**facts.sampling, "window": window or facts.window}),
        token_shape=facts.token_shape,
        graphs={},
    )


def model_of_bundle(bundle: Bundle, *, size: int | None = None) -> Model:
    """A bundle's graphs. Raises InputError for a `size` that it was not built for."""
    manifest = bundle.manifest
    height, width = manifest.size
    if size is not None and (height, width) != (size, size):
        raise InputError(
            f"{bundle.path} was built for {width} x {height} pixels, --size asks for {size}; leave --size out, or plan "
            f"without the bundle: --preset {manifest.preset} --size {size}"
        )
    tokens = bundle.spec("motion").output("motion_tokens").dims[1:]
    return Model(
        preset=manifest.preset,
        size=height,
        window=manifest.frames,
        precision=manifest.precision,
        sampling=Sampling.from_manifest(manifest.sampling),
        token_shape=(int(tokens[0]), int(tokens[1])),
        graphs=manifest.graphs,
    )


def _counts(preset: str, graph: str) -> Counts | None:
    if preset not in PRESETS:
        return None
    graphs = PRESETS[preset].graphs
    return graphs.get(graph) or (graphs["denoiser"] if graph == "live_denoiser" else None)


def _tensor_bytes(record: Any) -> float:
    """Inputs and outputs of a unit: all that is known of a graph that nobody has counted."""
    total = 0
    for tensor in (*record.spec.inputs, *record.spec.outputs):
        count = 1
        for dim in tensor.dims:
            count *= dim if isinstance(dim, int) else 1
        total += count * _BYTES.get(tensor.dtype, 8)
    return float(total)
