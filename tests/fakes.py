"""A backend of plain numpy whose graphs are plain functions: the loop runs on it in milliseconds.

It keeps the protocol's promises strictly: inputs are held against the spec, outputs written where asked, those that are
not wanted left out, and a buffer of one backend is refused by another, so that a loop that works here does not lean on
numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from engines.backend import StreamName
from engines.sizes import names_in
from engines.spec import DimRange, NetworkSpec, TensorSpec
from runtime.decode import to_uint8

Formula = Callable[..., dict[str, np.ndarray]]


@dataclass(frozen=True)
class FakeBuffer:
    """What a device buffer shows of itself: no arithmetic, no indexing."""

    array: np.ndarray
    owner: FakeBackend

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype


@dataclass
class FakeSession:
    """A graph that is a function of its named inputs."""

    spec: NetworkSpec
    formula: Formula
    backend: FakeBackend
    runs: list[dict[str, tuple[int, ...]]] = field(default_factory=list)  # the input shapes of every run

    def run(
        self, inputs: Mapping[str, FakeBuffer], outputs: Mapping[str, FakeBuffer] | None = None
    ) -> dict[str, FakeBuffer]:
        self.spec.check_inputs(inputs)
        self.runs.append({name: buffer.shape for name, buffer in inputs.items()})
        made = self.formula(**{name: self.backend.array(buffer) for name, buffer in inputs.items()})
        results = {tensor.name: made[tensor.name] for tensor in self.spec.wanted(outputs)}
        given = dict(outputs or {})
        for name, result in results.items():
            if name in given:
                target = self.backend.array(given[name])
                assert (target.shape, target.dtype) == (result.shape, result.dtype), f"{name}: {target.shape}"
                target[...] = result
        return {name: given.get(name) or self.backend.upload(result) for name, result in results.items()}

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class FakePending:
    array: np.ndarray

    def wait(self) -> np.ndarray:
        return self.array


class FakeBackend:
    """`Backend` over numpy. Graphs come from `session`, not from files."""

    name = "fake"
    device = "no device"
    asynchronous = False
    calls = 1
    concurrent = True
    has_bf16 = False
    notes = ()

    def __init__(self) -> None:
        self.uploaded_bytes = 0

    def array(self, buffer: FakeBuffer) -> np.ndarray:
        assert buffer.owner is self, "a buffer of another backend"
        return buffer.array

    def session(self, spec: NetworkSpec, formula: Formula) -> FakeSession:
        return FakeSession(spec, formula, self)

    def load(
        self,
        spec: NetworkSpec,
        path: Path,
        weights: Path | None = None,
        *,
        threads: int | None = None,
        calls: int = 1,
        bf16: bool = False,
    ) -> FakeSession:
        raise AssertionError("the fake backend opens no files")

    def prepare(self, path: Path, content: memoryview) -> None:
        raise AssertionError("the fake backend opens no files")

    def upload(self, array: np.ndarray) -> FakeBuffer:
        self.uploaded_bytes += array.nbytes
        return FakeBuffer(np.array(array), self)

    def download(self, buffer: FakeBuffer) -> np.ndarray:
        return self.array(buffer).copy()

    def fetch(self, buffer: FakeBuffer) -> FakePending:
        return FakePending(self.download(buffer))

    def empty(self, shape: Sequence[int], dtype: str) -> FakeBuffer:
        # Not really empty: whoever reads before writing shall see it.
        fill = np.nan if np.issubdtype(np.dtype(dtype), np.floating) else np.array(-1).astype(dtype)
        return FakeBuffer(np.full(tuple(shape), fill, dtype), self)

    def zeros(self, shape: Sequence[int], dtype: str) -> FakeBuffer:
        return FakeBuffer(np.zeros(tuple(shape), dtype), self)

    def view(self, buffer: FakeBuffer, start: int, stop: int) -> FakeBuffer:
        assert 0 <= start < stop <= buffer.shape[0], f"[{start}:{stop}] of {buffer.shape}"
        return FakeBuffer(self.array(buffer)[start:stop], self)

    def take(self, source: FakeBuffer, indices: Sequence[int], out: FakeBuffer) -> None:
        result = self.array(source)[list(indices)]
        target = self.array(out)
        assert target.shape in (result.shape, (1, *result.shape)), f"{target.shape} for {result.shape}"
        assert target.dtype == result.dtype
        target[...] = result

    def stream(self, name: StreamName) -> AbstractContextManager[None]:
        assert name in get_args(StreamName), name
        return nullcontext()

    def overlap_decode(self) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def close(self) -> None:
        pass


def spec(
    name: str,
    inputs: Mapping[str, tuple[int | str, ...]],
    outputs: Mapping[str, tuple[int | str, ...]],
    *,
    dtypes: Mapping[str, str] | None = None,
    most: int = 1000,
    **promised: Any,
) -> NetworkSpec:
    """A NetworkSpec in one line: float32 unless `dtypes` says otherwise, named sizes from 1 to `most`. `promised`: its
    fields of how a graph is used."""
    dtypes = dtypes or {}

    def tensors(dims: Mapping[str, tuple[int | str, ...]]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name=n, dims=d, dtype=dtypes.get(n, "float32")) for n, d in dims.items())

    every = (d for dims in (*inputs.values(), *outputs.values()) for d in dims if isinstance(d, str))
    named = {name for dim in every for name in names_in(dim)}
    ranges = {d: DimRange(min=1, opt=1, max=most) for d in sorted(named)}
    return NetworkSpec(name=name, inputs=tensors(inputs), outputs=tensors(outputs), ranges=ranges, **promised)


def decoder_spec(name: str, latents: tuple[int, ...], height: int, width: int, **promised: Any) -> NetworkSpec:
    """Of a decoder, as all decoders are: of ("chunk", *latents), to frames of that size, their pixels and sums."""
    outputs = {"frames": ("chunk", 3, height, width), "pixels": ("chunk", height, width, 3), "sums": ("chunk",)}
    return spec(name, {"latents": ("chunk", *latents)}, outputs, dtypes={"pixels": "uint8"}, **promised)


def decoded(frames: np.ndarray) -> dict[str, np.ndarray]:
    """What a decoder's graph gives, of its frames (f, 3, H, W)."""
    frames = frames.astype(np.float32)
    with np.errstate(invalid="ignore"):  # a NaN has no level
        pixels = np.stack([to_uint8(frame) for frame in frames])
        return {"frames": frames, "pixels": pixels, "sums": np.abs(frames).sum((1, 2, 3), dtype=np.float32)}
