"""The machine under a measurement, and the memory this process has used on it."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from engines.cores import available_cores

_STATUS = Path("/proc/self/status")


def facts() -> dict[str, Any]:
    """What a number needs beside it to mean something, as JSON data."""
    return {
        "cpu": cpu_model(),
        "cores": available_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": _version("onnxruntime", "onnxruntime-gpu"),
        "numpy": metadata.version("numpy"),
    }


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def peak_bytes() -> int:
    """The most memory that was ever resident in this process.

    Linux: VmHWM. The kernel's ru_maxrss would count what the parent had when it started this process, too.
    """
    if (kib := _status_kib("VmHWM")) is not None:
        return kib * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_bytes() -> int:
    """The memory that is resident now; where the system does not say, the peak."""
    kib = _status_kib("VmRSS")
    return peak_bytes() if kib is None else kib * 1024


def restart_peak() -> bool:
    """Let `peak_bytes` count from now on. False where the system cannot: it then counts from the process's start."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status_kib(field: str) -> int | None:
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    values = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return next((int(value) for value in values), None)


def _version(*packages: str) -> str:
    for package in packages:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return "none"
