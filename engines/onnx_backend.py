"""ONNX Runtime behind the `Backend` protocol: the embedded default on a CPU, and CUDA where no TensorRT is.

Buffers are numpy arrays in host memory. On CUDA each session keeps device memory for its inputs, for the shapes that
came last: a run copies into it, and ONNX Runtime copies what comes out. A provider that was asked for and did not load
is an error, never a silent fall back to the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np

from engines import families
from engines.backend import Buffer
from engines.errors import BundleError, EngineMismatch, InputError, InternalError
from engines.families import Provider
from engines.file_names import utf8_name
from engines.host_memory import CALLS, ENOUGH_TO_SHARE, HostMemory, array_of, checked_threads, cpu_words, output_arrays
from engines.spec import NetworkSpec, plain_name

families.load(families.ONNXRUNTIME)  # where it is missing, the error says what to install; `import` would not
import onnxruntime as ort  # noqa: E402

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_DTYPES = {  # ONNX Runtime's names of types -> numpy's
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}

# What ONNX Runtime 1.31 must be told of a graph in 8 bits, by the end of its name (`export/graphs/quantize.py`). int8:
# merging equal QuantizeLinears would share them, and half the products would stay in floats. fp8: it would make
# whole-number products of fp8 tensors, then find that there are none.
OPTIONS_OF_KIND: Mapping[str, Mapping[str, str]] = {
    "int8": {
        "optimization.disable_specified_optimizers": "CommonSubexpressionElimination",
        # Without VNNI a CPU adds two products of unsigned and signed bytes in 16 bits, where they do not fit.
        "session.x64quantprecision": "1",
    },
    "fp8": {"session.disable_quant_qdq": "1"},
}


class OnnxBackend(HostMemory):
    """Opens .onnx files on one provider.

    `threads`: for the CPU's part of the work; by default all cores this process may use. The same number gives the
    same bits. Raises EngineMismatch when the installed ONNX Runtime does not have `provider`.
    """

    name = "onnxruntime"
    concurrent = True

    def __init__(
        self, *, provider: Provider = "cpu", threads: int | None = None, device_id: int = 0, spins: bool = True
    ) -> None:
        if provider not in _PROVIDERS:
            raise InputError(f"there is no provider {provider!r}; choose one of {', '.join(_PROVIDERS)}")
        self.provider = provider
        self.threads = checked_threads(threads)
        self.device_id = device_id
        self.calls = CALLS if provider == "cpu" and self.threads >= CALLS else 1
        self._spins = spins  # threads that wait for the next operation of a graph keep their core
        self.device = cpu_words(self.threads) if provider == "cpu" else f"CUDA device {device_id}"
        ort.set_default_logger_severity(3)
        if _PROVIDERS[provider] not in ort.get_available_providers():
            raise EngineMismatch(_missing(provider))
        if provider == "cuda":
            ort.preload_dlls()  # finds CUDA's libraries where pip put them
        _share_one_arena()

    def load(
        self,
        spec: NetworkSpec,
        path: Path,
        weights: Path | None = None,
        *,
        threads: int | None = None,
        calls: int = 1,
        bf16: bool = False,
    ) -> OnnxSession:
        """Open a graph, which brings its own weights.

        Raises EngineMismatch when it does not load on this provider, BundleError when it is not what `spec` says.
        """
        assert not bf16, "ONNX Runtime has no products in bf16"
        options = self._options((threads or self.threads) // calls, spec.name)
        try:
            session = ort.InferenceSession(utf8_name(path), options, providers=self._provider_options())
        except Exception as error:  # ONNX Runtime's errors have no common base of their own
            raise EngineMismatch(
                f"{path} does not load in ONNX Runtime {ort.__version__} on {self.device}: {_first_line(error)}; "
                "install another 1.x of ONNX Runtime, 1.23 or later, or rebuild the bundle"
            ) from error
        if session.get_providers()[0] != _PROVIDERS[self.provider]:
            raise EngineMismatch(
                f"{self.device} was asked for, ONNX Runtime {ort.__version__} loaded only "
                f"{', '.join(session.get_providers())}; {_missing(self.provider)}"
            )
        return OnnxSession(spec, session, path, keep_inputs_on=("cuda", self.device_id) if self._on_cuda else None)

    @property
    def _on_cuda(self) -> bool:
        return self.provider == "cuda"

    def overlap_decode(self) -> None:
        """Each session has memory of its own. What is opened from now on waits asleep where threads are few: the cores
        are wanted by what runs beside it, other graphs, cropping, pasting and writing."""
        self._spins = self._spins and (self._on_cuda or self.threads >= ENOUGH_TO_SHARE)

    def _options(self, threads: int, graph: str) -> ort.SessionOptions:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.use_deterministic_compute = not self._on_cuda  # the CPU's bits; of cuDNN's kernels it leaves few
        options.log_severity_level = 3
        # A pattern is one block as large as all activations would be without reuse across shapes: a convolution net's
        # resident memory rose by half, and it was no faster.
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.use_env_allocators", "1")
        for key, value in OPTIONS_OF_KIND.get(plain_name(graph)[1] or "", {}).items():
            options.add_session_config_entry(key, value)
        # Between runs the cores belong to video decoding and to numpy.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if self._spins else "0")
        return options

    def _provider_options(self) -> list[str | tuple[str, dict[str, str]]]:
        if not self._on_cuda:
            return [_PROVIDERS["cpu"]]
        return [(_PROVIDERS["cuda"], cuda_options(self.device_id)), _PROVIDERS["cpu"]]


def cuda_options(device_id: int = 0) -> dict[str, str]:
    """What ONNX Runtime's CUDA provider is told."""
    return {
        "device_id": str(device_id),
        "use_tf32": "0",  # fp32 means fp32
        "arena_extend_strategy": "kSameAsRequested",
        "prefer_nhwc": "1",  # how cuDNN's fp16 convolutions want their tensors; else each is turned around and back
        "fuse_conv_bias": "1",
        # The default tries every algorithm at the first run of each shape. There are many shapes.
        "cudnn_conv_algo_search": "HEURISTIC",
    }


class OnnxSession:
    """One graph, opened by `OnnxBackend.load`. On a CPU it may run from several threads at once.

    `keep_inputs_on`: the device, by its kind and number, where inputs have memory of their own that stays; None: they
    are read where they are.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        session: ort.InferenceSession,
        path: Path,
        *,
        keep_inputs_on: tuple[str, int] | None = None,
    ) -> None:
        self.spec = spec
        self._session: ort.InferenceSession | None = session
        self._device = keep_inputs_on
        self._kept: dict[str, ort.OrtValue] = {}  # by input
        for kind, found, promised in (
            ("inputs", session.get_inputs(), spec.inputs),
            ("outputs", session.get_outputs(), spec.outputs),
        ):
            has = {node.name: _DTYPES.get(node.type, node.type) for node in found}
            needs = {tensor.name: tensor.dtype for tensor in promised}
            if has != needs:
                raise BundleError(f"{path} has the {kind} {has}, its manifest promises {needs}; rebuild the bundle")
            shapes = {node.name: node.shape for node in found}
            for tensor in promised:
                if not _fits(shape := shapes[tensor.name], tensor.dims):
                    raise BundleError(
                        f"{path} has {tensor.name} of {shape}, its manifest promises {list(tensor.dims)}; "
                        "rebuild the bundle"
                    )

    def run(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer] | None = None) -> dict[str, Buffer]:
        """See `engines.backend.Session.run`."""
        assert self._session is not None, f"{self.spec.name} is closed"
        sizes = self.spec.check_inputs(inputs)
        binding = self._session.io_binding()
        held = [np.ascontiguousarray(array_of(inputs[tensor.name])) for tensor in self.spec.inputs]
        for tensor, array in zip(self.spec.inputs, held, strict=True):
            if self._device is None:
                binding.bind_cpu_input(tensor.name, array)
            else:
                binding.bind_ortvalue_input(tensor.name, self._on_device(tensor.name, array))
        results = output_arrays(self.spec, sizes, outputs)
        for name, result in results.items():
            binding.bind_output(name, "cpu", 0, result.dtype.type, result.shape, result.ctypes.data)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise InternalError(f"{self.spec.name} failed in ONNX Runtime: {_first_line(error)}") from error
        return dict(results)

    def close(self) -> None:
        self._session = None
        self._kept = {}

    def _on_device(self, name: str, array: np.ndarray) -> ort.OrtValue:
        """The input's memory on the device, with these numbers; it stays until another shape comes."""
        assert self._device is not None
        kept = self._kept.get(name)
        if kept is None or tuple(kept.shape()) != array.shape:
            kept = ort.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype.type, *self._device)
            self._kept[name] = kept
        kept.update_inplace(array)
        return kept


def _fits(found: Sequence[int | str | None], promised: Sequence[int | str]) -> bool:
    """Whether a graph's shape can be the promised one. What ONNX Runtime does not know has a name, or nothing."""
    if len(found) != len(promised):
        return not found  # an output of which not even that is known
    return all(not isinstance(size, int) or size == dim for size, dim in zip(found, promised, strict=True))


@cache
def _share_one_arena() -> None:
    """One activation arena for all sessions of this process: they run one after the other, so the peak is that of the
    largest, not the sum. It grows by what is asked for, not by doubling."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    same_as_requested, default = 1, -1
    arena = ort.OrtArenaCfg(0, same_as_requested, default, default)
    ort.create_and_register_allocator(memory, arena)


def _missing(provider: Provider) -> str:
    """Why a provider may be missing, and what to do."""
    installed = {d.metadata["Name"].lower() for d in metadata.distributions() if d.metadata["Name"]}
    here = sorted(installed & {"onnxruntime", "onnxruntime-gpu"})
    need = "onnxruntime-gpu" if provider == "cuda" else "onnxruntime"
    if len(here) == 2:
        how = (
            "onnxruntime and onnxruntime-gpu are both installed, and one overwrites the other's files: "
            "pip uninstall onnxruntime onnxruntime-gpu, then pip install --force-reinstall onnxruntime-gpu"
        )
    elif here == [need]:
        how = "check the driver with nvidia-smi, and that CUDA and cuDNN of the versions it was built for are installed"
    else:
        how = f"pip uninstall onnxruntime, then pip install {need}: the two share their files, never install both"
    return (
        f"the {provider} provider needs {need}; found {' and '.join(here) or 'neither package'} {ort.__version__} "
        f"with {', '.join(ort.get_available_providers())}; {how}"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
