"""What export promises about a graph and the runtime relies on: names, shapes, dtypes, and how the graph is used.

A dimension is a number, or a name for a size that is known only at run time; the network's
`ranges` bound each name (TensorRT makes its optimisation profile of them). An output's may follow from those of inputs:
"2*height" (`engines/sizes.py`). Whoever opens, runs, times or plans a graph
asks its promise: nobody outside of a model's rooms knows graphs by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

from engines.fields import Field
from engines.sizes import names_in, size_of

Dim = int | str
Precision = Literal["fp32", "fp16"]  # what a bundle is exported in
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Quantization = Literal["int8", "fp8"]  # products in 8 bits; fp8: e4m3
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)
Lane = Literal["denoise", "decode"]  # what runs beside each other: each has a stream, and may have an arena
LANES: tuple[Lane, ...] = get_args(Lane)
DTYPES = ("float32", "float16", "int64", "int32", "int8", "uint8", "bool")  # of inputs and outputs, numpy's names
_LARGEST_DIM = 2**31 - 1


def plain_name(graph: str) -> tuple[str, Quantization | None]:
    """A graph's name in full precision, and what its products are in: "unet_int8" is "unet" in "int8"."""
    for kind in QUANTIZATIONS:
        if graph.endswith(f"_{kind}"):
            return graph.removesuffix(f"_{kind}"), kind
    return graph, None


class HasShape(Protocol):
    """Anything with numpy's `shape` and `dtype`."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input or output, as the graph promises it."""

    name: str
    dims: tuple[Dim, ...]  # ("rows", 4, 64, 64): a str is a size known at run time
    dtype: str  # numpy's name: "float16"

    def shape_at(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """With each named dimension at its size."""
        return tuple(size_of(dim, sizes) if isinstance(dim, str) else dim for dim in self.dims)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "dims": list(self.dims), "dtype": self.dtype}

    @classmethod
    def from_json(cls, data: Any) -> TensorSpec:
        """`data`: a mapping or a Field. ValueError."""
        field = Field.of(data)
        dims = tuple(
            dim.text(most=100) if isinstance(dim.found, str) else dim.whole(1, _LARGEST_DIM)
            for dim in field["dims"].listed(most=8)
        )
        return cls(name=field["name"].text(most=100), dims=dims, dtype=field["dtype"].choice(DTYPES))


@dataclass(frozen=True, kw_only=True)
class DimRange:
    """The sizes a run-time dimension may take, and the one to be fastest at."""

    min: int
    opt: int
    max: int

    def __post_init__(self) -> None:
        if not 0 < self.min <= self.opt <= self.max:
            raise ValueError(f"need 0 < min <= opt <= max, got {self}")

    @classmethod
    def from_json(cls, data: Any) -> DimRange:
        """`data`: a list or a Field. ValueError."""
        least, opt, most = (size.whole(1, _LARGEST_DIM) for size in Field.of(data).listed(least=3, most=3))
        return cls(min=least, opt=opt, max=most)


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """One graph: its inputs and outputs in order, the range of every named dimension, and how it is used.

    Checked when made: raises ValueError.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ranges: Mapping[str, DimRange] = field(default_factory=dict)
    unit: str = ""  # the run-time dimension that work is counted by: "rows", "frames", "chunk"; "": a call is one
    lane: Lane = "denoise"  # stream and arena
    repeated: bool = False  # the same shapes over and over: a CUDA graph, and most of a CPU's threads in live mode
    context: int = 0  # frames before its own that it looks back over, at the beginning of a chunk; 0: not causal

    def __post_init__(self) -> None:
        for tensors in (self.inputs, self.outputs):
            if len({tensor.name for tensor in tensors}) < len(tensors):
                raise ValueError(f"{self.name}: two tensors of one name in {[tensor.name for tensor in tensors]}")
        named = {d for t in self.inputs for d in t.dims if isinstance(d, str)}
        named = named.union(*(names_in(d) for t in self.outputs for d in t.dims if isinstance(d, str)))
        if named != set(self.ranges):
            raise ValueError(f"{self.name}: dimensions {sorted(named)} need ranges, got {sorted(self.ranges)}")
        if self.unit and self.unit not in self.ranges:
            raise ValueError(
                f"{self.name}: work is counted by a run-time dimension, one of {sorted(self.ranges)}, got {self.unit!r}"
            )
        if self.lane not in LANES:
            raise ValueError(f"{self.name}: the lane is one of {', '.join(LANES)}, got {self.lane!r}")
        if self.context < 0:
            raise ValueError(f"{self.name}: needs a context of at least 0 frames, got {self.context}")

    def input(self, name: str) -> TensorSpec:
        return next(t for t in self.inputs if t.name == name)

    def output(self, name: str) -> TensorSpec:
        return next(t for t in self.outputs if t.name == name)

    def wanted(self, given: Collection[str] | None) -> tuple[TensorSpec, ...]:
        """The outputs that a run gives: those named in `given`, or all where that is None. ValueError for another."""
        if given is None:
            return self.outputs
        if unknown := set(given) - {tensor.name for tensor in self.outputs}:
            has = ", ".join(tensor.name for tensor in self.outputs)
            raise ValueError(f"{self.name} has no output {', '.join(sorted(unknown))}; it has {has}")
        return tuple(tensor for tensor in self.outputs if tensor.name in given)

    def has_input(self, name: str) -> bool:
        return any(t.name == name for t in self.inputs)

    def check_inputs(self, arrays: Mapping[str, HasShape]) -> dict[str, int]:
        """Hold `arrays` against the promised names, shapes and dtypes; return the named sizes.

        Raises ValueError that lists every difference at once.
        """
        wrong: list[str] = []
        sizes: dict[str, int] = {}
        names = [t.name for t in self.inputs]
        if missing := [n for n in names if n not in arrays]:
            wrong.append(f"missing {', '.join(missing)}")
        if extra := [n for n in arrays if n not in names]:
            wrong.append(f"unknown {', '.join(extra)}")
        for tensor in self.inputs:
            if tensor.name not in arrays:
                continue
            array = arrays[tensor.name]
            if array.dtype != tensor.dtype or len(array.shape) != len(tensor.dims):
                wrong.append(f"{tensor.name} is {tuple(array.shape)} {array.dtype}, needs {tensor.dims} {tensor.dtype}")
                continue
            for size, dim in zip(array.shape, tensor.dims, strict=True):
                if isinstance(dim, str):
                    limits = self.ranges[dim]
                    expected = sizes.setdefault(dim, size)
                    fits = size == expected and limits.min <= size <= limits.max
                else:
                    fits = size == dim
                if not fits:
                    wrong.append(
                        f"{tensor.name} is {tuple(array.shape)} {array.dtype}, needs {tensor.dims} with "
                        f"{dict(self.ranges)}"
                    )
                    break
        if wrong:
            raise ValueError(f"{self.name}: {'; '.join(wrong)}")
        return sizes

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "inputs": [t.to_json() for t in self.inputs],
            "outputs": [t.to_json() for t in self.outputs],
            "ranges": {k: [r.min, r.opt, r.max] for k, r in self.ranges.items()},
            "unit": self.unit,
            "lane": self.lane,
            "repeated": self.repeated,
            "context": self.context,
        }

    @classmethod
    def from_json(cls, data: Any) -> NetworkSpec:
        """`data`: a mapping or a Field. ValueError."""
        field = Field.of(data)
        return cls(
            name=field["name"].text(most=100),
            inputs=tuple(TensorSpec.from_json(tensor) for tensor in field["inputs"].listed(least=1, most=64)),
            outputs=tuple(TensorSpec.from_json(tensor) for tensor in field["outputs"].listed(least=1, most=64)),
            ranges={name: DimRange.from_json(sizes) for name, sizes in field["ranges"].entries(most=64)},
            unit=field["unit"].text(most=100),
            lane=field["lane"].choice(LANES),
            repeated=field["repeated"].flag(),
            context=field["context"].whole(0, 1000),
        )
