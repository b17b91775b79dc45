"""What this machine can build and run: one finding a line, each with its fix.

Libraries are looked up and asked politely: nothing here may crash on a machine that lacks them. This module is the
machine and what every use needs; `abilities` is the GPU, the engine families and what can be done with them.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from engines.cores import available_cores
from engines.errors import EngineMismatch, InputError
from engines.families import ONNXRUNTIME, load
from hp_trt.doctor.abilities import (
    ability_findings,
    auto_finding,
    coder_findings,
    export_findings,
    family_findings,
    gpu_findings,
    runs_plans,
    trouble,
    version_or_trouble,
)
from hp_trt.doctor.finding import Finding, version
from hp_trt.fetch.table import MESH

PINNED_OPENCV = 4


def examine(bundle: Path | None = None) -> list[Finding]:
    """Everything, in the order in which a user would mend it. `bundle`: what `--family auto` would pick in it.

    Raises BundleError for one that is none.
    """
    return [*(finding for check in CHECKS for finding in check()), auto_finding(bundle)]


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
        fine=(3, 11) <= sys.version_info[:2] <= (3, 13),
        found=f"{version} on {platform.system()} {platform.machine()}",
        fix="use Python 3.11, 3.12 or 3.13",
        needed=True,
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding(name="CPU", fine=True, found=f"{available_cores()} cores, {memory:.0f} GiB of memory")
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    yield Finding(
        name="disk",
        fine=free > 1,
        found=f"{free:.0f} GiB free here",
        fix="a bundle of a pocket preset takes 0.1 GiB, a full one in fp32 9 to 10 GiB: free some space",
    )


def _onnxruntime() -> Iterator[Finding]:
    needed = not runs_plans()
    found = version_or_trouble(ONNXRUNTIME)
    if isinstance(found, EngineMismatch):
        yield replace(trouble(ONNXRUNTIME.name, ONNXRUNTIME, found, no=""), needed=needed)
        return
    providers = [p.removesuffix("ExecutionProvider") for p in load(ONNXRUNTIME).get_available_providers()]
    both = version("onnxruntime") and version("onnxruntime-gpu")
    yield Finding(
        name="onnxruntime",
        fine="CPU" in providers and not both,
        found=f"{found} with {', '.join(providers)}" + (", installed twice" if both else ""),
        fix="onnxruntime and onnxruntime-gpu overwrite each other: uninstall both, then install one",
        needed=needed,
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


def _landmarks() -> Iterator[Finding]:
    try:
        MESH.read(MESH.place)
    except InputError as error:
        found, _, fix = str(error).rpartition("; ")
        yield Finding(name="face mesh", fine=False, found=f"{found}; --locator mesh needs it", fix=fix)
        return
    yield Finding(name="face mesh", fine=True, found=f"{MESH.place}, for --locator mesh")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _system,
    _onnxruntime,
    _pictures,
    _landmarks,
    gpu_findings,
    family_findings,
    export_findings,
    ability_findings,
    coder_findings,
)
