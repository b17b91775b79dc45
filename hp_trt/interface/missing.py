"""Libraries that not every installation has: which extra of ours brings each.

Whoever imports one of them imports it where it is needed, and need not ask whether it is there: a door turns the
ImportError into a line that says how to install it (`hp_trt.console.run`).
"""

from __future__ import annotations

from collections.abc import Mapping

from engines.errors import InputError, how_to_install

EXTRAS: Mapping[str, str] = {  # module -> extra
    "onnxruntime": "cpu",
    "openvino": "openvino",
    "torch": "export",
    "diffusers": "export",
    "onnx": "export",
    "onnx_ir": "export",
    "onnxscript": "export",
    "safetensors": "export",
    "transformers": "export",
    "polygraphy": "export",
    "cuda": "gpu",
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "rtx",
    "matplotlib": "bench",
    "psutil": "bench",
    "skimage": "evaluate",
    "espeakng_loader": "espeak",
    "c2pa": "provenance",
    "cryptography": "provenance",
    "fastapi": "service",
    "starlette": "service",
    "pydantic": "service",
    "uvicorn": "service",
    "h11": "service",
    "python_multipart": "service",
    "websockets": "service",
    "prometheus_client": "service",
    "opentelemetry": "otel",
    "nvtx": "otel",
    "aiortc": "rtc",
    "gradio": "web",
    "ray": "scale",
    "PyNvVideoCodec": "nvcodec",
    "zensical": "docs",
}


def missing_library(error: BaseException) -> InputError | None:
    """What to tell the user of a failed import of one of them; None for any other error."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if name not in EXTRAS:
        return None
    return InputError(f"this needs {name}, which is not installed; {how_to_install(EXTRAS[name])}")
