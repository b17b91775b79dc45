"""A `tensorrt` whose engines are formulas over named tensors, executed by a `FakeDriver`.

It has the names that the backend may use and no others, and it is as strict as the real one is silent: a context
without memory, memory for other shapes, an address not aligned, a capture without a run before, a context changed or
gone under its graph. A plan is a file that names a `FakePlan`.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np

from engines.spec import NetworkSpec, TensorSpec
from tests.engines.fake_cuda import FakeDriver, Misuse, Operation


class DataType(Enum):
    FLOAT = "float32"
    HALF = "float16"
    INT64 = "int64"
    INT32 = "int32"
    UINT8 = "uint8"
    BOOL = "bool"


class TensorIOMode(Enum):
    INPUT = 1
    OUTPUT = 2


class ExecutionContextAllocationStrategy(Enum):
    STATIC = 0
    USER_MANAGED = 2


class ProfilingVerbosity(Enum):
    LAYER_NAMES_ONLY = 0
    NONE = 1
    DETAILED = 2


class Specialization(Enum):
    LAZY = 0
    EAGER = 1


class EngineValidity(Enum):
    VALID = 0
    INVALID = 2


class EngineInvalidityDiagnostics(int, Enum):
    VERSION_MISMATCH = 1
    UNSUPPORTED_CC = 2
    OLD_CUDA_DRIVER = 4


class ILogger:
    VERBOSE, INFO, WARNING, ERROR, INTERNAL_ERROR = range(5)

    def log(self, severity: int, msg: str) -> None:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class FakePlan:
    """What a plan file stands for."""

    spec: NetworkSpec
    formula: Callable[..., dict[str, np.ndarray]]
    arena_bytes: int | Callable[..., int] = 4096  # at any shapes, or a function of the run-time sizes by name
    resizes: bool = True  # it tells what the shapes that are set need; else 0, as a plan may that was built without
    weight_bytes: int = 1024
    refuses: str = ""  # why it does not deserialise
    invalid: int = 0  # RTX: diagnostics
    refittable: bool = False
    weights_fit: bool = True
    streamable_bytes: int = 0
    capturable: bool = True
    forbids_capture: Literal["", "told", "silent"] = ""  # "silent": only the end of the capture shows it
    looks: bool = False  # for the last error of its own CUDA runtime, which a refused capture leaves
    fails: bool = False  # when it is run
    profile_most: int | None = None  # narrower than promised


_numbers = itertools.count()


def fake_trt(driver: FakeDriver, *, rtx: bool = False) -> SimpleNamespace:
    """The module. `write_plan(path, plan)` makes a file; `made` keeps what was loaded, how many contexts, and how much
    each run told a profiler. While `made.broken` is set, every run fails. `made.last_error` is its CUDA runtime's: no
    driver of ours clears it, and it is told once. `made.compiled`: of RTX, the graph and the sizes of each compilation;
    `made.refuses_kernels`: those that another process has compiled."""
    plans: dict[bytes, FakePlan] = {}
    made = SimpleNamespace(
        contexts=0,
        loaded=[],
        budgets=[],
        verbosities=[],
        broken=False,
        last_error="",
        rtx=rtx,
        compiled=[],
        refuses_kernels=False,
    )

    def write_plan(path: Path, plan: FakePlan) -> Path:
        content = f"plan {next(_numbers)} of {plan.spec.name}".encode().ljust(plan.weight_bytes, b".")
        plans[content] = plan
        path.write_bytes(content)
        return path

    class Runtime:
        engine_host_code_allowed = False

        def __init__(self, logger: Any) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, content: bytes | memoryview) -> Engine | None:
            plan = plans[bytes(content)]
            made.loaded.append(plan.spec.name)
            if plan.refuses:
                self._logger.log(ILogger.ERROR, f"noise\n{plan.refuses}")
                return None
            return Engine(driver, plan, self._logger, made)

    class RtxRuntime(Runtime):
        def get_engine_validity(self, content: bytes | memoryview) -> tuple[EngineValidity, int]:
            diagnostics = plans[bytes(content)].invalid
            return (EngineValidity.INVALID if diagnostics else EngineValidity.VALID), diagnostics

    class Refitter:
        def __init__(self, engine: Engine, logger: Any) -> None:
            self.engine = engine
            self.parser: Callable[[], object] = lambda: None

        def get_missing_weights(self) -> list[str]:
            return []

        def refit_cuda_engine(self) -> bool:
            if self.parser() is None:
                raise Misuse("the weights went with their parser")
            self.engine.refitted = True
            return True

    class OnnxParserRefitter:
        def __init__(self, refitter: Refitter, logger: Any) -> None:
            self._fits = refitter.engine.plan.weights_fit
            self.num_errors = 0 if self._fits else 1
            refitter.parser = weakref.ref(self)
            alive = weakref.ref(refitter)  # no more: the real one does not keep its refitter either

            def leave() -> None:
                if alive() is None:
                    raise Misuse("it outlives its refitter")

            weakref.finalize(self, _gone, driver, "parser_refitter", leave)

        def refit_from_file(self, path: str) -> bool:
            assert Path(path).exists()
            return self._fits

        def get_error(self, i: int) -> SimpleNamespace:
            return SimpleNamespace(desc=lambda: "no weight called conv_in.weight")

    module = SimpleNamespace(
        __version__="11.4.0",
        ILogger=ILogger,
        DataType=DataType,
        TensorIOMode=TensorIOMode,
        ExecutionContextAllocationStrategy=ExecutionContextAllocationStrategy,
        ProfilingVerbosity=ProfilingVerbosity,
        Runtime=RtxRuntime if rtx else Runtime,
        Refitter=Refitter,
        OnnxParserRefitter=OnnxParserRefitter,
        write_plan=write_plan,
        made=made,
    )
    if rtx:
        module.EngineValidity = EngineValidity
        module.EngineInvalidityDiagnostics = EngineInvalidityDiagnostics
        module.DynamicShapesKernelSpecializationStrategy = Specialization
    return module


class Engine:
    def __init__(self, driver: FakeDriver, plan: FakePlan, logger: Any, made: SimpleNamespace) -> None:
        self.plan, self.driver, self.logger, self.made = plan, driver, logger, made
        self.refitted = False
        self.refittable = plan.refittable
        self.streamable_weights_size = plan.streamable_bytes
        self._budget: int | None = None
        self._tensors = {t.name: t for t in (*plan.spec.inputs, *plan.spec.outputs)}
        resident = max(plan.weight_bytes - plan.streamable_bytes, 512)  # what may stream is opened in host memory
        self.weights = (driver.malloc(resident), resident)
        weakref.finalize(self, _gone, driver, "engine", lambda: driver.free(self_weights[0]))
        self_weights = self.weights

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    @property
    def device_memory_size_v2(self) -> int:
        return self.activations({dim: sizes.max for dim, sizes in self.plan.spec.ranges.items()})

    def activations(self, sizes: Mapping[str, int]) -> int:
        streams = self._budget is not None and self._budget < self.plan.streamable_bytes
        needs = self.plan.arena_bytes(**sizes) if callable(self.plan.arena_bytes) else self.plan.arena_bytes
        return needs + (1024 if streams else 0)

    def get_weight_streaming_automatic_budget(self) -> int:
        return self.driver.memory_info()[0] // 2

    @property
    def weight_streaming_budget_v2(self) -> int | None:
        return self._budget

    @weight_streaming_budget_v2.setter
    def weight_streaming_budget_v2(self, budget: int) -> None:
        self._budget = budget
        self.made.budgets.append(budget)

    def get_tensor_name(self, i: int) -> str:
        return list(self._tensors)[i]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if self.plan.spec.has_input(name) else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType(self._tensors[name].dtype)

    def get_tensor_shape(self, name: str) -> list[int]:
        return [d if isinstance(d, int) else -1 for d in self._tensors[name].dims]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
        def sizes(which: str) -> list[int]:
            ranges = self.plan.spec.ranges
            return [d if isinstance(d, int) else getattr(ranges[d], which) for d in self._tensors[name].dims]

        most = [self.plan.profile_most or n for n in sizes("max")]
        return [sizes("min"), sizes("opt"), most]

    def create_runtime_config(self) -> RuntimeConfig:
        return RtxRuntimeConfig(self.made) if self.made.rtx else RuntimeConfig()

    def create_execution_context(self, runtime_config: RuntimeConfig) -> Context:
        if runtime_config.strategy is not ExecutionContextAllocationStrategy.USER_MANAGED:
            raise Misuse("a context that brings memory of its own")
        self.made.contexts += 1
        return Context(self, getattr(runtime_config, "cache", None))


class RuntimeConfig:
    dynamic_shapes_kernel_specialization_strategy = Specialization.LAZY

    def __init__(self) -> None:
        self.strategy = ExecutionContextAllocationStrategy.STATIC

    def set_execution_context_allocation_strategy(self, strategy: ExecutionContextAllocationStrategy) -> None:
        self.strategy = strategy


class RtxRuntimeConfig(RuntimeConfig):
    def __init__(self, made: SimpleNamespace) -> None:
        super().__init__()
        self._made = made
        self.cache = RuntimeCache(made)  # of this configuration alone, unless another is set

    def create_runtime_cache(self) -> RuntimeCache:
        return RuntimeCache(self._made)

    def set_runtime_cache(self, cache: RuntimeCache) -> bool:
        self.cache = cache
        return True


class RuntimeCache:
    """What was compiled: lines of a graph and its sizes."""

    def __init__(self, made: SimpleNamespace) -> None:
        self._made = made
        self._kernels: set[str] = set()

    def compile(self, what: str) -> None:
        if what not in self._kernels:
            self._made.compiled.append(what)
            self._kernels.add(what)

    def serialize(self) -> bytes:
        return "\n".join(sorted(self._kernels)).encode()

    def deserialize(self, blob: bytes) -> bool:
        if self._made.refuses_kernels:
            return False
        self._kernels |= set(blob.decode().splitlines())
        return True


class Context:
    """One execution context. `token` stands for it in the driver's records, which must not keep it alive."""

    nvtx_verbosity = ProfilingVerbosity.DETAILED  # as plans are built

    def __init__(self, engine: Engine, cache: RuntimeCache | None) -> None:
        self.engine, self._cache = engine, cache
        self._driver = engine.driver
        self.token = f"context {next(_numbers)} of {engine.plan.spec.name}"
        self._memory: tuple[int, int] | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._needs = engine.device_memory_size_v2  # until it is asked for the shapes that are set
        self._addresses: dict[str, int] = {}
        self._warm = False
        self._last: list[tuple[int, int]] = []
        driver, token, last = self._driver, self.token, self._last

        def leave() -> None:
            if driver.graph_of(token):
                raise Misuse(f"{token} is gone, its graph is not")
            if last and not driver.is_over(*last[-1]):
                raise Misuse(f"{token} is gone with work in flight")

        weakref.finalize(self, _gone, driver, token, leave)

    def set_device_memory(self, memory: int, size: int) -> None:
        self._change()
        if memory % 256 or size < self._needs:
            raise Misuse(f"{size} bytes at {memory:#x} for {self._needs}")
        self._memory = (memory, self._needs)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._change()
        if self._shapes.get(name) != tuple(shape):  # how activations lie is another question then
            self._needs, self._memory = self.engine.device_memory_size_v2, None
        self._shapes[name] = tuple(shape)
        return True

    def update_device_memory_size_for_shapes(self) -> int:
        self._change()
        if not self.engine.plan.resizes:
            return 0
        needs = self.engine.activations(self._sizes())
        if needs != self._needs:
            self._needs, self._memory = needs, None
        return needs

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._change()
        if memory % 256:
            raise Misuse(f"{name} at {memory:#x} is not aligned")
        self._addresses[name] = memory
        return True

    def is_stream_capturable(self, stream: int) -> bool:
        return self.engine.plan.capturable

    def execute_async_v3(self, stream_handle: int) -> bool:
        plan, driver = self.engine.plan, self._driver
        self.engine.made.verbosities.append(self.nvtx_verbosity)
        if plan.fails or self.engine.made.broken:
            self.engine.logger.log(ILogger.ERROR, "kernel 7 failed")
            return False
        if self._memory is None:
            raise Misuse("no device memory")
        capturing = driver.is_capturing(stream_handle)
        if capturing and plan.forbids_capture:
            driver.forbid_capture(stream_handle)
            self.engine.made.last_error = "operation not permitted when stream is capturing"
            if plan.forbids_capture == "told":
                self.engine.logger.log(ILogger.ERROR, "operation not permitted when stream is capturing")
            return plan.forbids_capture == "silent"
        driver.require_no_error()
        if plan.looks and self.engine.made.last_error:
            self.engine.logger.log(ILogger.ERROR, self.engine.made.last_error)
            self.engine.made.last_error = ""
            return False
        if capturing and not self._warm:
            raise Misuse(f"{self.token} is captured before it has run")
        spec, memory, formula = plan.spec, self._memory, plan.formula
        sizes = self._sizes()
        if self._cache is not None:
            self._cache.compile(f"{spec.name} {sorted(sizes.items())}")

        def place(tensor: TensorSpec) -> tuple[int, tuple[int, ...], np.dtype, int]:
            shape = tuple(sizes[d] if isinstance(d, str) else d for d in tensor.dims)
            dtype = np.dtype(tensor.dtype)
            return self._addresses[tensor.name], shape, dtype, int(np.prod(shape)) * dtype.itemsize

        inputs = {t.name: place(t) for t in spec.inputs}
        outputs = {t.name: place(t) for t in spec.outputs}

        def work() -> None:
            given = {
                name: driver.read(address, size).view(dtype).reshape(shape).copy()
                for name, (address, shape, dtype, size) in inputs.items()
            }
            driver.read(*memory)[:] = 0xEE  # activations: whatever was there is gone
            for name, result in formula(**given).items():
                address, shape, dtype, size = outputs[name]
                assert (result.shape, result.dtype) == (shape, dtype), f"{name}: {result.shape} {result.dtype}"
                driver.read(address, size)[:] = np.ascontiguousarray(result).reshape(-1).view(np.uint8)

        reads = [(address, size) for address, _, _, size in inputs.values()]
        writes = [(address, size) for address, _, _, size in outputs.values()]
        driver.queue(
            stream_handle,
            Operation(spec.name, [*reads, self.engine.weights], [*writes, memory], work, owner=self.token),
        )
        if not capturing:
            self._warm = True
            self._last[:] = [(stream_handle, driver.done_by(stream_handle))]
        return True

    def _sizes(self) -> dict[str, int]:
        """Of the run-time dimensions, by name."""
        inputs = self.engine.plan.spec.inputs
        if unset := [t.name for t in inputs if t.name not in self._shapes]:
            raise Misuse(f"{self.token} has no shapes of {', '.join(unset)} yet")
        return {str(dim): n for t in inputs for dim, n in zip(t.dims, self._shapes[t.name], strict=True) if dim != n}

    def _change(self) -> None:
        if self._driver.graph_of(self.token):
            raise Misuse(f"{self.token} is changed under its graph")


def _gone(driver: FakeDriver, what: str, leave: Callable[[], None]) -> None:
    """Finalizers raise into nowhere: the driver keeps what they found."""
    try:
        leave()
    except AssertionError as problem:
        driver.problems.append(f"{what}: {problem}")
