"""What a TensorRT family says to this machine: import, build a plan of one product, accept it, open it, run it."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import numpy as np

from engines import families
from engines.families import Family
from engines.gpu import NoGpu, find_gpu
from engines.trt_plan import make_logger
from tests.gpu.lines import Found, Lines, NotRun

WIDTH = 64


class Verdict:
    """The lines of one family, which follow from each other."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._trt: Any = None
        self._logger: Any = None
        self._plans: dict[str, bytes] = {}
        self._weights = np.random.default_rng(0).standard_normal((WIDTH, WIDTH), dtype=np.float32)

    def load(self) -> Found:
        if not families.is_installed(self._family):
            raise NotRun(f"not installed; {self._family.install}")
        module = importlib.import_module(self._family.module)  # any version: the verdict is about what is here
        self._trt, self._logger = module, make_logger(module)
        known = module.__version__.startswith(self._family.versions)
        return Found(
            text=f"{module.__version__}" + ("" if known else ", not a version that this program knows"),
            facts={"version": module.__version__, "known": known},
        )

    def build(self, capability: str) -> Found:
        """y = x w in float32; `capability` "": for the GPU at hand."""
        trt, logger = self._need(), self._logger
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        tensor = network.add_input("x", trt.DataType.FLOAT, (WIDTH, WIDTH))
        held = np.ascontiguousarray(self._weights)  # the network keeps only a pointer
        layer = network.add_constant((WIDTH, WIDTH), trt.Weights(held))
        none = trt.MatrixOperation.NONE
        layer = network.add_matrix_multiply(tensor, none, layer.get_output(0), none)
        tensor = layer.get_output(0)
        tensor.name = "y"
        network.mark_output(tensor)
        config = builder.create_builder_config()
        config.clear_flag(trt.BuilderFlag.TF32)
        if self._family.name == "tensorrt-rtx":
            digits = capability.replace(".", "")
            wanted = getattr(trt.ComputeCapability, f"SM{digits}" if capability else "CURRENT")
            config.num_compute_capabilities = 1
            config.set_compute_capability(wanted, 0)
        made = builder.build_serialized_network(network, config)
        if made is None:
            raise RuntimeError(f"no plan: {logger.last_error() or 'no reason given'}")
        self._plans[capability] = bytes(made)
        return Found(text=f"{len(self._plans[capability])} bytes")

    def validity(self, capability: str) -> Found:
        """TensorRT for RTX alone can be asked without opening."""
        trt, plan = self._need(), self._plan(capability)
        runtime = trt.Runtime(self._logger)
        valid, why = runtime.get_engine_validity(plan)
        return Found(text=f"{valid.name}, diagnostics {why}", facts={"validity": valid.name, "diagnostics": str(why)})

    def execute(self, capability: str) -> Found:
        from cuda.bindings import runtime as cuda

        trt, plan = self._need(), self._plan(capability)
        if isinstance(gpu := find_gpu(), NoGpu):
            raise NotRun(f"{gpu.found}; {gpu.fix}")
        runtime = trt.Runtime(self._logger)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise RuntimeError(f"it does not open: {self._logger.last_error() or 'no reason given'}")
        context = engine.create_execution_context()
        if context is None:
            raise RuntimeError(f"no context: {self._logger.last_error() or 'no reason given'}")
        x = np.random.default_rng(1).standard_normal((WIDTH, WIDTH), dtype=np.float32)
        y = np.zeros_like(x)
        (_, x_address), (_, y_address) = cuda.cudaMalloc(x.nbytes), cuda.cudaMalloc(y.nbytes)
        _, stream = cuda.cudaStreamCreate()
        kinds = cuda.cudaMemcpyKind
        cuda.cudaMemcpy(x_address, x.ctypes.data, x.nbytes, kinds.cudaMemcpyHostToDevice)
        context.set_tensor_address("x", int(x_address))
        context.set_tensor_address("y", int(y_address))
        fine = context.execute_async_v3(int(stream))
        (code,) = cuda.cudaStreamSynchronize(stream)
        if not fine or code != cuda.cudaError_t.cudaSuccess:
            raise RuntimeError(f"it does not run: {code.name}, {self._logger.last_error() or 'no reason given'}")
        cuda.cudaMemcpy(y.ctypes.data, y_address, y.nbytes, kinds.cudaMemcpyDeviceToHost)
        expected = x.astype(np.float64) @ self._weights
        error = float(np.linalg.norm(y - expected) / np.linalg.norm(expected))
        return Found(
            text=f"runs on {gpu.name}, relative L2 {error:.1e}",
            facts={"runs": True, "relative_l2": error},
            missed="" if error < 1e-5 else "needs less than 1e-5",
        )

    def _need(self) -> Any:
        if self._trt is None:
            raise NotRun("it did not load")
        return self._trt

    def _plan(self, capability: str) -> bytes:
        if capability not in self._plans:
            raise NotRun("there is no plan of it")
        return self._plans[capability]


def tell_verdict(lines: Lines, family_name: str, device: str) -> None:
    family, section = families.find(family_name), f"verdict, {family_name}"
    verdict = Verdict(family)
    lines.run(section, "load", verdict.load)
    gpu = find_gpu() if device == "cuda" else NoGpu(found="--device cpu", fix="run it on a GPU")
    ahead = (gpu.capability,) if not isinstance(gpu, NoGpu) and gpu.capability in family.capabilities else ("8.0",)
    targets = ([""] if not isinstance(gpu, NoGpu) else []) + (list(ahead) if family.capabilities else [])
    for capability in targets:
        where = f"built for {capability}" if capability else "built for the GPU at hand"
        lines.run(section, f"build, {where}", partial(verdict.build, capability))
        if isinstance(gpu, NoGpu):
            continue
        if family.name == "tensorrt-rtx":
            lines.run(section, f"validity, {where}", partial(verdict.validity, capability))
        lines.run(section, f"run, {where}", partial(verdict.execute, capability))
