"""The denoiser in ONNX Runtime with every buffer bound on the device, as a plain run and as a CUDA graph.

Our runtime hands ONNX Runtime host memory; this says what that costs, and what its CUDA graphs would gain.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import onnxruntime as ort

from engines.onnx_backend import cuda_options
from engines.spec import NetworkSpec
from tests.gpu.artefacts import Artefact
from tests.gpu.comparing import difference, read
from tests.gpu.lines import Found


def run_on_device(artefact: Artefact, reference: Path, *, cuda_graph: bool = False, defaults: bool = False) -> Found:
    """`defaults`: with ONNX Runtime's own choice of layout and of convolutions, not ours."""
    options = {"use_tf32": "0"} if defaults else cuda_options()
    spec = NetworkSpec.from_json(artefact.wait(0)["spec"])
    inputs, expected = read(reference)
    ort.preload_dlls()
    provider = ("CUDAExecutionProvider", {**options, "enable_cuda_graph": "1" if cuda_graph else "0"})
    session = ort.InferenceSession(str(artefact.path), providers=[provider, "CPUExecutionProvider"])
    assert session.get_providers()[0] == provider[0], f"loaded only {', '.join(session.get_providers())}"
    binding = session.io_binding()
    held = {name: ort.OrtValue.ortvalue_from_numpy(array, "cuda", 0) for name, array in inputs.items()}
    for name, value in held.items():
        binding.bind_ortvalue_input(name, value)
    output = ort.OrtValue.ortvalue_from_shape_and_type(expected.shape, expected.dtype.type, "cuda", 0)
    binding.bind_ortvalue_output(spec.outputs[0].name, output)
    for _ in range(3):  # a graph is captured at the first run
        session.run_with_iobinding(binding)
    seconds: list[float] = []
    while len(seconds) < 9 and sum(seconds) < 8:
        start = time.perf_counter()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        seconds.append(time.perf_counter() - start)
    found = difference(artefact.graph, output.numpy(), expected)
    median_s = statistics.median(seconds)
    return Found(
        text=f"{median_s * 1e3:.4g} ms (median of {len(seconds)}) by the wall clock, {found}",
        facts={"median_s": median_s, "repeats": len(seconds), **vars(found)},
        missed=found.missed,
    )
