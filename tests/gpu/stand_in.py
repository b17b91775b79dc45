"""A stand-in for TensorRT on a real device: engines that do nothing but copy, on the stream and at the addresses given.

What it proves is all that is ours around TensorRT: the driver's calls, streams and their order, pools, the arena, CUDA
graphs, the live session's threads. It needs a `Driver` alone, a real one or the fake, so the same code runs in tests.

Each output is its inputs of the same type one behind the other, each repeated to its part; one of bytes is the bytes of
all inputs: `copied` says it in numpy.
Every byte goes through the arena, so that two runs in one arena at a time, or a copy that came too early, change what
comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from engines.cuda_driver import Driver
from engines.families import TENSORRT
from engines.spec import NetworkSpec, TensorSpec
from engines.trt_backend import TrtBackend
from tests.engines.fake_trt import (
    DataType,
    ExecutionContextAllocationStrategy,
    ILogger,
    ProfilingVerbosity,
    TensorIOMode,
)

_ALIGNMENT = 256


def copied(spec: NetworkSpec, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    """What an engine of `spec` makes of `inputs`, in numpy."""
    sizes = {str(d): n for t in spec.inputs for d, n in zip(t.dims, inputs[t.name].shape, strict=True)}
    made = {}
    for output in spec.outputs:
        flat = np.zeros(int(np.prod(_shape(output, sizes))), output.dtype)
        for name, start, stop in _parts(spec, output, flat.size):
            flat[start:stop] = np.resize(inputs[name].reshape(-1).view(output.dtype), stop - start)
        made[output.name] = flat.reshape(_shape(output, sizes))
    return made


def open_stand_in(driver: Driver, *, passes: int = 1, **options: Any) -> tuple[TrtBackend, Any]:
    """A backend over it, and `plan(spec, folder)`, which writes a plan that the backend opens.

    `passes`: how often each input is copied into the arena, so that a run takes a time.
    """
    plans: dict[bytes, NetworkSpec] = {}

    class Runtime:
        engine_host_code_allowed = False

        def __init__(self, logger: Any) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, content: bytes | memoryview) -> Engine:
            return Engine(driver, plans[bytes(content)], passes)

    def plan(spec: NetworkSpec, folder: Path) -> Path:
        content = f"a stand-in for {spec.name}, {len(plans)}".encode()
        plans[content] = spec
        path = folder / f"{spec.name}.plan"
        path.write_bytes(content)
        return path

    module = SimpleNamespace(
        __version__="stand-in",
        ILogger=ILogger,
        DataType=DataType,
        TensorIOMode=TensorIOMode,
        ExecutionContextAllocationStrategy=ExecutionContextAllocationStrategy,
        ProfilingVerbosity=ProfilingVerbosity,
        Runtime=Runtime,
    )
    return TrtBackend(TENSORRT, module, driver, device="stand-in", **options), plan


class Engine:
    """Of one graph: as much of TensorRT's as the backend asks for."""

    streamable_weights_size = 0

    def __init__(self, driver: Driver, spec: NetworkSpec, passes: int) -> None:
        self.driver, self.spec, self.passes = driver, spec, passes
        self.tensors = {t.name: t for t in (*spec.inputs, *spec.outputs)}
        self.num_io_tensors = len(self.tensors)

    @property
    def device_memory_size_v2(self) -> int:
        return self.arena_bytes({name: sizes.max for name, sizes in self.spec.ranges.items()})

    def arena_bytes(self, sizes: Mapping[str, int]) -> int:
        return sum(_aligned(_nbytes(t, sizes)) for t in self.spec.inputs)

    def get_tensor_name(self, i: int) -> str:
        return list(self.tensors)[i]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if self.spec.has_input(name) else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType(self.tensors[name].dtype)

    def get_tensor_shape(self, name: str) -> list[int]:
        return [d if isinstance(d, int) else -1 for d in self.tensors[name].dims]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
        ranges = self.spec.ranges
        return [
            [d if isinstance(d, int) else getattr(ranges[d], at) for d in self.tensors[name].dims]
            for at in ("min", "opt", "max")
        ]

    def create_runtime_config(self) -> Any:
        return SimpleNamespace(set_execution_context_allocation_strategy=lambda strategy: None)

    def create_execution_context(self, runtime_config: Any) -> Context:
        return Context(self)


class Context:
    """Shapes, addresses and the arena of one run after the other."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._arena = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self.nvtx_verbosity = ProfilingVerbosity.DETAILED

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shapes[name] = tuple(shape)
        return True

    def update_device_memory_size_for_shapes(self) -> int:
        return self._engine.arena_bytes(self._sizes())

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size >= self._engine.arena_bytes(self._sizes()), "an arena too small for the shapes that are set"
        self._arena = memory

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert memory % _ALIGNMENT == 0, f"{name} at {memory:#x} is not aligned"
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine, sizes, at = self._engine, self._sizes(), self._arena
        driver, place = engine.driver, {}
        for promised in engine.spec.inputs:
            place[promised.name] = at
            for _ in range(engine.passes):
                given = self._addresses[promised.name]
                driver.memcpy_async(at, given, _nbytes(promised, sizes), "d2d", stream_handle)
            at += _aligned(_nbytes(promised, sizes))
        for output in engine.spec.outputs:
            self._fill(output, sizes, place, stream_handle)
        return True

    def _fill(self, output: TensorSpec, sizes: Mapping[str, int], place: Mapping[str, int], stream: int) -> None:
        driver, item = self._engine.driver, np.dtype(output.dtype).itemsize
        parts = _parts(self._engine.spec, output, _nbytes(output, sizes) // item)
        if not parts:
            driver.memset_async(self._addresses[output.name], 0, _nbytes(output, sizes), stream)
        for name, start, stop in parts:
            to, size = self._addresses[output.name] + start * item, (stop - start) * item
            done = min(size, _nbytes(self._engine.tensors[name], sizes))
            driver.memcpy_async(to, place[name], done, "d2d", stream)
            while done < size:  # whole repetitions, twice as many each time
                more = min(done, size - done)
                driver.memcpy_async(to + done, to, more, "d2d", stream)
                done += more

    def _sizes(self) -> dict[str, int]:
        inputs = self._engine.spec.inputs
        return {str(d): n for t in inputs for d, n in zip(t.dims, self._shapes[t.name], strict=True)}


def _parts(spec: NetworkSpec, output: TensorSpec, count: int) -> list[tuple[str, int, int]]:
    """Which input each stretch of an output's `count` elements comes from."""
    names = [t.name for t in spec.inputs if output.dtype in (t.dtype, "uint8")]
    ends = [i * count // max(len(names), 1) for i in range(len(names) + 1)]
    stretches = zip(names, ends[:-1], ends[1:], strict=True)
    return [(name, start, stop) for name, start, stop in stretches if start < stop]


def _shape(tensor: TensorSpec, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sizes[d] if isinstance(d, str) else d for d in tensor.dims)


def _nbytes(tensor: TensorSpec, sizes: Mapping[str, int]) -> int:
    return int(np.prod(_shape(tensor, sizes), dtype=np.int64)) * np.dtype(tensor.dtype).itemsize


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
