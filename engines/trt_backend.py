"""TensorRT and TensorRT for RTX behind the `Backend` protocol.

`open_trt_backend` asks for a GPU before it touches the library, which would end the process without one. What a plan
will need is held against what is free before it is deserialised, its activations at the smallest shapes before the
session is handed out, and at larger ones before they run.

The backend owns the TensorRT runtime, its logger and the arenas, and closes the sessions that it has opened. See
`engines.cuda_buffers` for memory and `engines.trt_session` for what a session owns.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from engines import families
from engines.cuda_buffers import CudaBuffers
from engines.cuda_driver import CudaDriver, Driver
from engines.errors import EngineMismatch, InputError
from engines.families import Family
from engines.gpu import require_gpu
from engines.runtime_cache import KernelFile, kernel_file
from engines.spec import NetworkSpec
from engines.trt_plan import make_logger, open_engine, refit
from engines.trt_session import Arena, TrtSession


class TrtBackend(CudaBuffers):
    """Opens plans of one family on one device. Graphs that promise to be `repeated` run as CUDA graphs.

    `family`, `trt`: which, and its module. `device`: for people, "NVIDIA H200". `overlap_decode`: a second arena from
    the start, so that decoding one clip may run beside denoising another, for as much more memory as the decoder's
    activations.
    `weight_budget_bytes`: of each plan's weights, so much stays in GPU memory, and the rest streams, without a CUDA
    graph; `automatic_budget`: as much as TensorRT sees fit. Both are for plans that were built with weight streaming.
    `kernels`: where TensorRT for RTX keeps what it compiles, from one process to the next. `trace`: keep times for
    `spans`.
    """

    def __init__(
        self,
        family: Family,
        trt: Any,
        driver: Driver,
        *,
        device: str,
        overlap_decode: bool = False,
        weight_budget_bytes: int | None = None,
        automatic_budget: bool = False,
        kernels: KernelFile | None = None,
        trace: bool = False,
    ) -> None:
        super().__init__(driver, trace=trace)
        self.name: str = family.name
        self.device = f"{device}, {family.name} {trt.__version__}"
        self._family = family
        self._trt = trt
        self._weight_budget_bytes = weight_budget_bytes
        self._automatic_budget = automatic_budget
        self._logger = make_logger(trt)
        self._runtime = trt.Runtime(self._logger)
        # Plans that run on later versions bring the code to run them; their hash was checked like the others'.
        self._runtime.engine_host_code_allowed = True
        shared = Arena(self)
        self._arenas = {"denoise": shared, "decode": Arena(self, shared)}
        if overlap_decode:
            self.overlap_decode()
        self._sessions: list[TrtSession] = []
        self._prepared: dict[Path, memoryview] = {}  # plans that were read, until they are opened
        self._kernels = kernels if kernels is not None and kernels.can_keep() else None
        self._cannot_keep = kernels.note if kernels is not None else ""
        self._runtime_cache: Any = None  # of TensorRT for RTX: one for all contexts, made with the first

    @property
    def has_bf16(self) -> bool:
        """A plan's precision is its own."""
        return False

    @property
    def notes(self) -> tuple[str, ...]:
        """The graphs that were meant to run as CUDA graphs and do not, and why; kernels that are not kept, and why."""
        slow = [session for session in self._sessions if session.uncaptured]
        kernels = self._kernels.note if self._kernels is not None else self._cannot_keep
        return (
            *(f"{session.spec.name} runs without a CUDA graph: {session.uncaptured}" for session in slow),
            *([kernels] if kernels else []),
        )

    def prepare(self, path: Path, content: memoryview) -> None:
        """See `engines.backend.Backend.prepare`."""
        self._prepared[path] = content

    def load(
        self,
        spec: NetworkSpec,
        path: Path,
        weights: Path | None = None,
        *,
        threads: int | None = None,
        calls: int = 1,
        bf16: bool = False,
    ) -> TrtSession:
        """Open the plan at `path`, whose hash the caller has checked; `weights`: the graph of a stripped plan.

        Raises EngineMismatch: a plan for another GPU, version or driver, or too little memory.
        """
        assert not bf16, "a plan's precision is its own"
        content = self._prepared.pop(path, None)
        self._check_open()
        self.driver.make_current()
        self.pool.trim()  # what is idle counts as free
        self._check_weights_fit(spec, path, weights)
        logger, runtime = self._logger, self._runtime
        engine = open_engine(self._family, self._trt, runtime, logger, path, spec, content)
        if weights is not None:
            refit(self._family, self._trt, engine, logger, weights, spec, path)
        streams = self._stream_weights(engine)  # before any context, and before asking for activations
        arena = self._arenas[spec.lane]
        # Weights that stream in while a graph runs are not part of what was captured.
        may_capture = self._may_capture if spec.repeated and not streams else None
        session = TrtSession(
            spec,
            self,
            arena,
            new_context=lambda: self._new_context(engine, spec),
            activations=lambda context: _activations(engine, context),
            grow=lambda size: self._grow(arena, size, spec),
            last_error=logger.last_error,
            may_capture=may_capture,
        )
        self._sessions.append(session)
        return session

    def overlap_decode(self) -> None:
        """A second arena: with one of its own, decoding need not wait for denoising."""
        self._arenas["decode"].part()

    def close(self) -> None:
        """Close the sessions, then give the memory back. Twice is fine."""
        for session in self._sessions:
            session.close()
        self._sessions = []
        if self._runtime_cache is not None:
            self._keep_kernels_rtx()
        self._runtime = None
        super().close()

    def _new_context(self, engine: Any, spec: NetworkSpec) -> Any:
        """An execution context whose activations are ours to give."""
        trt = self._trt
        runtime_config = engine.create_runtime_config()
        runtime_config.set_execution_context_allocation_strategy(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if self._family.name == "tensorrt-rtx":
            _specialise_rtx(trt, runtime_config)
            self._share_kernels_rtx(runtime_config)
        context = engine.create_execution_context(runtime_config)
        if context is None:
            free, _ = self.driver.memory_info()
            raise EngineMismatch(
                f"{spec.name} cannot be made ready: {self._logger.last_error() or 'no reason given'} "
                f"({free / 1e9:.2f} GB of GPU memory free); close other programs on this GPU"
            )
        # Plans are built with all their layers' names, for `hp-trt inspect`: each run would hand them to a profiler.
        context.nvtx_verbosity = trt.ProfilingVerbosity.NONE
        return context

    def _share_kernels_rtx(self, runtime_config: Any) -> None:
        """What one context has compiled, in this process or one before, no other compiles again."""
        if self._runtime_cache is None:
            runtime_cache = runtime_config.create_runtime_cache()
            if self._kernels is not None and (kept := self._kernels.read()) and not runtime_cache.deserialize(kept):
                self._kernels.set_aside(self._logger.last_error() or "TensorRT for RTX refuses them")
            self._runtime_cache = runtime_cache
        runtime_config.set_runtime_cache(self._runtime_cache)

    def _keep_kernels_rtx(self) -> None:
        runtime_cache, self._runtime_cache = self._runtime_cache, None
        if self._kernels is not None:
            self._kernels.keep(bytes(runtime_cache.serialize()))

    def _may_capture(self, context: Any, stream: int) -> bool:
        return self._family.name != "tensorrt-rtx" or _may_capture_rtx(context, stream)

    def _stream_weights(self, engine: Any) -> bool:
        """Whether some of the weights stay in host memory."""
        whole, budget = engine.streamable_weights_size, self._weight_budget_bytes
        if self._automatic_budget:
            budget = engine.get_weight_streaming_automatic_budget()
        if budget is None or not whole:
            return False
        engine.weight_streaming_budget_v2 = min(budget, whole)
        return budget < whole

    def _check_weights_fit(self, spec: NetworkSpec, path: Path, weights: Path | None) -> None:
        """A plan is mostly its weights; those of a stripped plan lie beside the graph."""
        if self._automatic_budget:  # weights that may stream are opened in host memory, the rest follows what is free
            return
        files = [path] if weights is None else [path, weights, Path(f"{weights}.data")]
        need = sum(file.stat().st_size for file in files if file.exists())
        if self._weight_budget_bytes is not None:
            need = min(need, self._weight_budget_bytes)
        free, _ = self.driver.memory_info()
        fits = math.floor(10 * free / 2**30) / 10
        self._check_fits(need, f"the weights of {spec.name}", budget=f"--weight-budget {fits} or less")

    def _grow(self, arena: Arena, size: int, spec: NetworkSpec) -> None:
        if size > arena.size:
            self.pool.trim()  # what is idle counts as free
            free, _ = self.driver.memory_info()
            ours = arena.size  # the old piece is freed before the new one is asked for
            less = f"a --weight-budget that leaves {max(size - free - ours, 0) / 2**30:.2f} GiB more"
            self._check_fits(size, f"the activations of {spec.name}", ours=ours, budget=less)
        arena.grow(size)

    def _check_fits(self, need: int, what: str, *, ours: int = 0, budget: str) -> None:
        """`budget`: the option, in GiB, that would help plans with weight streaming."""
        free, total = self.driver.memory_info()
        if need <= free + ours:
            return
        raise EngineMismatch(
            f"{what} need {need / 1e9:.2f} GB of GPU memory, {(free + ours) / 1e9:.2f} of {total / 1e9:.2f} GB are "
            f"free on {self.device}; close other programs on this GPU, build with a smaller --size or --frames, or "
            f"build with --weight-streaming and run with {budget}"
        )


def open_trt_backend(family_name: str, device_id: int = 0, *, beside: Path | None = None, **options: Any) -> TrtBackend:
    """The backend of this family on this device. `beside`: the bundle beside which compiled kernels are kept; None:
    they are not. `options`: see `TrtBackend`.

    Raises InputError for a family that does not exist or has no plans, EngineMismatch where there is no GPU, no driver
    or no library of a version that we know.
    """
    family = families.find(family_name)
    if not family.has_plans:
        raise InputError(f"{family.name} runs graphs, not plans; open it with engines.onnx_backend")
    gpu = require_gpu(device_id)  # before the library: without a driver it ends the process
    trt = families.load(family)
    if beside is not None and family.name == families.RTX.name:
        options["kernels"] = kernel_file(beside, trt.__version__, gpu)
    return TrtBackend(family, trt, CudaDriver(device_id), device=gpu.name, **options)


def _activations(engine: Any, context: Any) -> int:
    """Bytes for the shapes that were set. 0 is no answer: then as much as the largest shapes of the profile need, which
    is also what plans may say that were built without RUNTIME_ACTIVATION_RESIZE_10_10."""
    return context.update_device_memory_size_for_shapes() or engine.device_memory_size_v2


def _specialise_rtx(trt: Any, runtime_config: Any) -> None:
    """A shape's kernels are ready when its first run returns; by default better ones come later, unseen by a graph."""
    eager = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    runtime_config.dynamic_shapes_kernel_specialization_strategy = eager


def _may_capture_rtx(context: Any, stream: int) -> bool:
    return bool(context.is_stream_capturable(stream))
