"""OpenVINO behind the `Backend` protocol, for CPUs: graphs that were compiled when the bundle's plans were built.

Which of a bundle's graphs it opens, and which ONNX Runtime, is said by the bundle's own table
(`engines.engine_choice`): a plan is OpenVINO's, a .onnx file is for ONNX Runtime. Both take numpy arrays as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from engines import families
from engines.backend import Buffer, Session
from engines.errors import BundleError, EngineMismatch, InternalError
from engines.file_names import utf8_name
from engines.host_memory import CALLS, ENOUGH_TO_SHARE, HostMemory, array_of, checked_threads, cpu_words, output_arrays
from engines.spec import NetworkSpec

if TYPE_CHECKING:  # imported where a graph is given to it
    from engines.onnx_backend import OnnxBackend

DEVICE = "CPU"
Rewrite = Callable[[Any, Any], None]  # the library, a model of its own
# OpenVINO's names of types -> numpy's.
_DTYPES = {"f32": "float32", "f16": "float16", "i64": "int64", "i32": "int32", "boolean": "bool", "u8": "uint8"}


class OpenVinoBackend(HostMemory):
    """Opens plans of OpenVINO, and graphs with ONNX Runtime.

    `threads`: by default all cores this process may use. The same number gives the same bits: products are divided
    among threads by their number alone, and nothing is chosen by time. Raises EngineMismatch when OpenVINO is missing,
    or of a version that this program does not know.
    """

    name = "openvino"

    def __init__(self, *, threads: int | None = None) -> None:
        self._openvino = families.load(families.OPENVINO)
        self.threads = checked_threads(threads)
        self.calls = CALLS if self.threads >= CALLS else 1
        self.concurrent = self.threads >= ENOUGH_TO_SHARE
        self.device = f"{cpu_words(self.threads)}, OpenVINO {self._openvino.__version__.partition('-')[0]}"
        self._core = self._openvino.Core()
        self.has_bf16 = "BF16" in self._core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
        self._prepared: dict[Path, memoryview] = {}
        self._onnx: OnnxBackend | None = None

    def load(
        self,
        spec: NetworkSpec,
        path: Path,
        weights: Path | None = None,
        *,
        threads: int | None = None,
        calls: int = 1,
        bf16: bool = False,
    ) -> Session:
        """Open a plan with OpenVINO, or a .onnx file with ONNX Runtime.

        Raises EngineMismatch when the plan does not open here, BundleError when it is not what `spec` says.
        """
        if path.suffix == ".onnx":
            from engines.onnx_backend import OnnxBackend

            # Asleep where they wait: for a tenth of a second after a graph they would take cores from OpenVINO's.
            self._onnx = self._onnx or OnnxBackend(threads=self.threads, spins=False)
            return self._onnx.load(spec, path, threads=threads, calls=calls)
        assert not bf16 or self.has_bf16, "OpenVINO would take float32 in the place of bf16, and not say so"
        content = self._prepared.pop(path, None)
        plan = np.fromfile(path, np.uint8) if content is None else np.frombuffer(content, np.uint8)
        plan = np.require(plan, requirements="W")  # OpenVINO takes no other, and writes into none
        options = self._options(threads or self.threads, calls=calls, bf16=bf16)

        def open_plan() -> Any:
            try:
                # The tensor is a view: weights stay where they were read, and the session holds on to them.
                return self._core.import_model(self._openvino.Tensor(plan, shared_memory=True), DEVICE, options)
            except Exception as error:  # OpenVINO's errors have no common base of their own
                raise EngineMismatch(
                    f"{path} does not open in OpenVINO {self._openvino.__version__}: {_last_line(error)}; build it "
                    "again: python -m export.build_engines --family openvino --bundle BUNDLE"
                ) from error

        return OpenVinoSession(spec, self._openvino, open_plan, path)

    def compile(
        self, path: Path, out: Path, rewrite: Callable[[Any, Any], None] = lambda openvino, model: None
    ) -> None:
        """The graph at `path` as a plan, for `load`. It takes the time of one compilation and holds the weights twice.

        `rewrite` is given the library and the model, and may change what is computed in no number.
        Raises EngineMismatch when OpenVINO cannot compile it.
        """
        try:
            model = self._core.read_model(utf8_name(path))
            if rewrite is not None:
                rewrite(self._openvino, model)
            compiled = self._core.compile_model(model, DEVICE, self._options(self.threads, bf16=False))
            content = BytesIO()
            compiled.export_model(content)
        except Exception as error:
            raise EngineMismatch(
                f"OpenVINO {self._openvino.__version__} does not compile {path}: {_last_line(error)}"
            ) from error
        out.write_bytes(content.getbuffer())

    def prepare(self, path: Path, content: memoryview) -> None:
        """See `engines.backend.Backend.prepare`."""
        self._prepared[path] = content

    def _options(self, threads: int, *, calls: int = 1, bf16: bool) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",  # its own default is bf16, where the CPU has it
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": calls,  # each has its part of the threads
            "PERFORMANCE_HINT": "LATENCY",
            # Sessions that run beside each other would be pinned to the same cores.
            "ENABLE_CPU_PINNING": False,
        }


class OpenVinoSession:
    """One plan, opened by `OpenVinoBackend.load`. It may run from several threads at once.

    OpenVINO 2026.4 settles some of a plan's work by the shapes of its first call: one that had begun with one frame
    gave noise for 25. So calls in which a run-time dimension is 1 have the plan opened once more for themselves, at the
    first of them.
    """

    def __init__(self, spec: NetworkSpec, openvino: Any, open_plan: Callable[[], Any], path: Path) -> None:
        self.spec = spec
        self._openvino, self._open_plan, self._is_open = openvino, open_plan, True
        self._models: dict[frozenset[str], Any] = {}  # by the run-time dimensions that are 1
        # Those that nobody uses, likewise, and by the outputs that they write to whoever asks: a request goes on
        # writing into the last buffer that it was given.
        self._requests: dict[tuple[frozenset[str], frozenset[str]], list[Any]] = {}
        self._lock = Lock()
        opened = open_plan()
        ports = (("inputs", opened.inputs, spec.inputs), ("outputs", opened.outputs, spec.outputs))
        for kind, found, promised in ports:
            types = ((port, port.get_element_type().get_type_name()) for port in found)
            has = {name: _DTYPES.get(dtype, dtype) for port, dtype in types for name in port.get_names()}
            needs = {tensor.name: tensor.dtype for tensor in promised}
            if {name: has.get(name) for name in needs} != needs or len(found) != len(promised):
                raise BundleError(f"{path} has the {kind} {has}, its manifest promises {needs}; build it again")
        self._unused: Any | None = opened  # until the first call says what it is for

    def run(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer] | None = None) -> dict[str, Buffer]:
        """See `engines.backend.Session.run`."""
        assert self._is_open, f"{self.spec.name} is closed"
        sizes = self.spec.check_inputs(inputs)
        # OpenVINO writes into none of them, and takes none that it could not write into.
        held = {t.name: np.require(array_of(inputs[t.name]), requirements=["C", "W"]) for t in self.spec.inputs}
        results = output_arrays(self.spec, sizes, outputs)
        try:
            ones = frozenset(name for name, size in sizes.items() if size == 1)
            with self._request(ones, frozenset(results)) as request:
                for name, array in (held | results).items():
                    request.set_tensor(name, self._openvino.Tensor(array, shared_memory=True))
                request.infer()
        except EngineMismatch:
            raise
        except Exception as error:
            raise InternalError(f"{self.spec.name} failed in OpenVINO: {_last_line(error)}") from error
        return dict(results)

    def close(self) -> None:
        self._is_open, self._unused = False, None
        self._requests.clear()
        self._models.clear()

    @contextmanager
    def _request(self, ones: frozenset[str], wanted: frozenset[str]) -> Iterator[Any]:
        with self._lock:
            if ones not in self._models:
                self._models[ones], self._unused = self._unused or self._open_plan(), None
            free = self._requests.setdefault((ones, wanted), [])
            request = free.pop() if free else self._models[ones].create_infer_request()
        yield request
        free.append(request)


def _last_line(error: Exception) -> str:
    """The first lines of its errors say where in its source they were raised, the last one what was wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
