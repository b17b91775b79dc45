"""The GPU of this machine, asked politely: no function here raises where there is none.

Standard TensorRT ends the process when it deserialises without a driver, so everything that is about to touch it asks
here first. `cudaGetDeviceCount` answers with a code.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from engines.errors import EngineMismatch, how_to_install


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One device as the driver describes it."""

    index: int
    name: str  # "NVIDIA H200"
    capability: str  # "9.0"
    total_bytes: int
    driver_cuda: tuple[int, int]  # the newest CUDA that the driver serves: (13, 0)


@dataclass(frozen=True, kw_only=True)
class NoGpu:
    """Why there is none, and what to do."""

    found: str
    fix: str


def find_gpu(index: int = 0) -> Gpu | NoGpu:
    """Device `index`, or why it cannot be used."""
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        return NoGpu(found="cuda-python is not installed", fix=how_to_install("gpu"))
    from cuda.bindings import runtime as cuda

    try:
        code, count = cuda.cudaGetDeviceCount()
    except RuntimeError as error:  # no CUDA library to load at all
        return NoGpu(found=f"CUDA does not load ({error})", fix="install the NVIDIA driver")
    _, driver = cuda.cudaDriverGetVersion()
    _, library = cuda.cudaRuntimeGetVersion()
    if code == cuda.cudaError_t.cudaErrorInsufficientDriver and driver:
        return NoGpu(
            found=f"the driver serves CUDA up to {_version(driver)}, this program's libraries need {library // 1000}",
            fix="update the NVIDIA driver",
        )
    if code != cuda.cudaError_t.cudaSuccess or not count:
        reason = f" ({code.name})" if code != cuda.cudaError_t.cudaSuccess else ""
        return NoGpu(found=f"no usable device{reason}", fix="install the NVIDIA driver on a machine with an NVIDIA GPU")
    if not 0 <= index < count:
        return NoGpu(found=f"device {index} does not exist, there are {count}", fix=f"choose 0 to {count - 1}")
    code, facts = cuda.cudaGetDeviceProperties(index)
    if code != cuda.cudaError_t.cudaSuccess:
        return NoGpu(found=f"device {index} does not answer ({code.name})", fix="look at nvidia-smi")
    return Gpu(
        index=index,
        name=facts.name.decode(),
        capability=f"{facts.major}.{facts.minor}",
        total_bytes=int(facts.totalGlobalMem),
        driver_cuda=(driver // 1000, driver % 1000 // 10),
    )


def require_gpu(index: int = 0) -> Gpu:
    """Device `index`. Raises EngineMismatch, one line, where it cannot be used."""
    gpu = find_gpu(index)
    if isinstance(gpu, NoGpu):
        raise EngineMismatch(f"this needs an NVIDIA GPU, found: {gpu.found}; {gpu.fix}")
    return gpu


def gpu_count() -> int:
    """How many devices the driver shows; 0 where none is usable."""
    if isinstance(find_gpu(), NoGpu):
        return 0
    from cuda.bindings import runtime as cuda

    return int(cuda.cudaGetDeviceCount()[1])


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
