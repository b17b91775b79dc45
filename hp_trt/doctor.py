"""What this machine can build and run: one finding a line, each with its fix.

Libraries are looked up by their metadata and asked politely: nothing here may crash on a machine without a GPU, and
`cudaGetDeviceCount` answers with a code where TensorRT itself would end the process.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console

TORCH = "2.13.0"
PINNED_OPENCV = 4


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line: is it fine, what was found, what to do."""

    name: str
    fine: bool
    found: str
    fix: str = ""
    needed: bool = False  # to animate on this machine at all; the rest is for building, or for speed

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Finding]:
    """Everything, in the order in which a user would mend it."""
    return [finding for check in CHECKS for finding in check()]


def show(findings: list[Finding], console: Console | None = None) -> None:
    console = console or Console(highlight=False)
    for finding in findings:
        mark = "[green]ok  [/]" if finding.fine else "[red]no  [/]" if finding.needed else "[yellow]--  [/]"
        console.print(f"{mark}{finding.name:18} ", end="", soft_wrap=True)
        fix = "" if finding.fine or not finding.fix else f"; {finding.fix}"
        console.print(f"{finding.found}{fix}", markup=False, soft_wrap=True)


def _system() -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding(
        name="Python",
        fine=(3, 11) <= sys.version_info[:2] <= (3, 12),
        found=f"{version} on {platform.system()} {platform.machine()}",
        fix="use Python 3.11 or 3.12",
        needed=True,
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding(name="CPU", fine=True, found=f"{cores} cores, {memory:.0f} GiB of memory")
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    yield Finding(
        name="disk",
        fine=free > 1,
        found=f"{free:.0f} GiB free here",
        fix="a pocket bundle takes 0.1 GiB, a full one in fp32 9 GiB: free some space",
    )


def _onnxruntime() -> Iterator[Finding]:
    install = "pip install onnxruntime"
    if importlib.util.find_spec("onnxruntime") is None:
        yield Finding(name="onnxruntime", fine=False, found="not installed", fix=install, needed=True)
        return
    import onnxruntime

    providers = [p.removesuffix("ExecutionProvider") for p in onnxruntime.get_available_providers()]
    both = version("onnxruntime") and version("onnxruntime-gpu")
    yield Finding(
        name="onnxruntime",
        fine="CPU" in providers and not both,
        found=f"{onnxruntime.__version__} with {', '.join(providers)}" + (", installed twice" if both else ""),
        fix="onnxruntime and onnxruntime-gpu overwrite each other: uninstall both, then install one",
        needed=True,
    )
    yield Finding(
        name="onnxruntime CUDA",
        fine="CUDA" in providers,
        found="offered" if "CUDA" in providers else "not offered",
        fix="on a machine with an NVIDIA GPU: pip uninstall onnxruntime, then pip install onnxruntime-gpu",
    )


def _pictures() -> Iterator[Finding]:
    opencv = version("opencv-python-headless") or version("opencv-python")
    cascades = False
    if importlib.util.find_spec("cv2") is not None:
        import cv2

        folder = getattr(cv2, "data", None)  # a submodule of the wheel that OpenCV's stubs do not know
        cascades = folder is not None and Path(folder.haarcascades, "haarcascade_frontalface_default.xml").is_file()
    yield Finding(
        name="OpenCV",
        fine=cascades,
        found=f"{opencv or 'not installed'}, face cascades {'there' if cascades else 'missing'}",
        fix=f"pip install 'opencv-python-headless<{PINNED_OPENCV + 1}': version {PINNED_OPENCV} carries the cascades",
        needed=True,
    )
    encoder = False
    if importlib.util.find_spec("av") is not None:
        import av

        encoder = "libx264" in av.codecs_available
    yield Finding(
        name="PyAV",
        fine=encoder,
        found=f"{version('av') or 'not installed'}, H.264 encoder {'there' if encoder else 'missing'}",
        fix="pip install av: its wheel brings FFmpeg with libx264",
        needed=True,
    )


def _gpu() -> Iterator[Finding]:
    name = "GPU"
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        seen = shutil.which("nvidia-smi") is not None
        yield Finding(
            name=name,
            fine=False,
            found="nvidia-smi is there, cuda-python is not" if seen else "none seen, no nvidia-smi",
            fix="pip install 'hp-trt[gpu]'" if seen else "the CPU runs bundles; a GPU makes them fast",
        )
        return
    from cuda.bindings import runtime as cuda

    try:
        code, count = cuda.cudaGetDeviceCount()
    except RuntimeError as error:  # no driver library to load at all
        code, count = error, 0
    if int(getattr(code, "value", 1)) != 0 or not count:
        yield Finding(name=name, fine=False, found=f"no usable device ({code})", fix="install the NVIDIA driver")
        return
    _, driver = cuda.cudaDriverGetVersion()
    for index in range(count):
        _, facts = cuda.cudaGetDeviceProperties(index)
        text = f"{facts.name.decode()}, capability {facts.major}.{facts.minor}, {facts.totalGlobalMem / 2**30:.0f} GiB"
        yield Finding(name=f"{name} {index}", fine=True, found=f"{text}, driver for CUDA {driver // 1000}")


def _tensorrt() -> Iterator[Finding]:
    for package in ("tensorrt", "tensorrt-rtx"):
        found = version(package)
        yield Finding(
            name=package,
            fine=found is not None,
            found=found or "not installed",
            fix="not used by this version: bundles run on ONNX Runtime",
        )


def _export() -> Iterator[Finding]:
    wanted = {"torch": TORCH, "diffusers": None, "onnx": None, "onnxscript": None}
    missing = [name for name in wanted if version(name) is None]
    torch = (version("torch") or "").split("+")[0]
    found = ", ".join(f"{name} {version(name)}" for name in wanted if name not in missing)
    wrong = not missing and torch != TORCH
    yield Finding(
        name="export",
        fine=not missing and not wrong,
        found=(found or "nothing") + (f"; missing {', '.join(missing)}" if missing else ""),
        fix=f"to build bundles here: pip install torch=={TORCH}, then pip install 'hp-trt[export]'",
    )


def version(package: str) -> str | None:
    """The installed version of a distribution; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (_system, _onnxruntime, _pictures, _gpu, _tensorrt, _export)
