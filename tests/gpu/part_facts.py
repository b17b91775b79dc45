"""What the machine is and what it can do at best: copies, matrix products. Random data: zeros would run cooler."""

from __future__ import annotations

import platform
import time
from functools import partial
from importlib import metadata

import torch

from engines.gpu import NoGpu, find_gpu
from hp_trt.doctor.abilities import driver_release
from tests.gpu.lines import Found, Lines, NotRun
from tests.gpu.stopwatch import measure

SECTION = "machine"
PACKAGES = (
    "torch",
    "onnx",
    "onnxscript",
    "diffusers",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx",
    "cuda-bindings",
    "av",
    "PyNvVideoCodec",
    "numpy",
)
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def tell_facts(lines: Lines, device: str) -> None:
    lines.run(SECTION, "versions", _versions)
    if lines.run(SECTION, "device", partial(_device, device)) is None:
        return
    for kind in ("host to device", "device to host", "device to device"):
        lines.run(SECTION, f"copy, {kind}", partial(_copy, device, kind))
    for name in DTYPES:
        lines.run(SECTION, f"matrix product, {name}", partial(_ceiling, device, name))


def _device(device: str) -> Found:
    if device != "cuda":
        return Found(text=f"CPU, {torch.get_num_threads()} threads, {platform.machine()}", facts={"name": "CPU"})
    if not torch.cuda.is_available():
        gpu = find_gpu()
        raise NotRun(
            f"{gpu.found}; {gpu.fix}" if isinstance(gpu, NoGpu) else f"PyTorch {torch.__version__} sees no GPU"
        )
    facts = torch.cuda.get_device_properties(0)
    capability = f"{facts.major}.{facts.minor}"
    free, total = torch.cuda.mem_get_info()
    driver = driver_release() or "unknown"
    return Found(
        text=f"{facts.name}, capability {capability}, {facts.multi_processor_count} multiprocessors, "
        f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free, driver {driver}, CUDA of PyTorch {torch.version.cuda}",
        facts={
            "name": facts.name,
            "capability": capability,
            "multiprocessors": facts.multi_processor_count,
            "total_bytes": total,
            "free_bytes": free,
            "driver": driver,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        },
    )


def _versions() -> Found:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return Found(text=", ".join(f"{name} {version}" for name, version in found.items()), facts=found)


def _copy(device: str, kind: str) -> Found:
    """Pinned memory on the host's side."""
    count = (256 if device == "cuda" else 16) << 20
    pinned = device == "cuda"
    host = torch.randint(0, 255, (count,), dtype=torch.uint8, pin_memory=pinned)
    on_device, other = host.to(device), torch.empty(count, dtype=torch.uint8, device=device)
    source, target = {
        "host to device": (host, other),
        "device to host": (on_device, torch.empty(count, dtype=torch.uint8, pin_memory=pinned)),
        "device to device": (on_device, other),
    }[kind]
    times = measure(lambda: target.copy_(source, non_blocking=True), device, at_most_s=2.0)
    assert bool((target == source.to(target.device)).all()), "the copy differs from its source"
    rate = count / times.median_s
    return Found(
        text=f"{rate / 1e9:.4g} GB/s ({count >> 20} MiB, {times})",
        facts={"bytes_per_s": rate, "bytes": count, **times.facts()},
    )


def _ceiling(device: str, name: str) -> Found:
    """The most that a plain square product reaches, of some sizes. fp32 without TF32."""
    torch.backends.cuda.matmul.allow_tf32 = False
    best, at, times = 0.0, 0, None
    for width in (4096, 8192, 16384) if device == "cuda" else (512,):
        a, b = (torch.randn(width, width, device=device).to(DTYPES[name]) for _ in range(2))
        out = torch.empty_like(a)
        began = time.perf_counter()
        tried = measure(partial(torch.mm, a, b, out=out), device, repeats=15, at_most_s=1.0)
        if 2 * width**3 / tried.median_s > best:
            best, at, times = 2 * width**3 / tried.median_s, width, tried
        if time.perf_counter() - began > 3:
            break  # fp32 at the next size would take eight times as long
    return Found(
        text=f"{best / 1e12:.4g} TFLOP/s ({at} x {at}, {times})",
        facts={"flops_per_s": best, "width": at, **(times.facts() if times else {})},
    )
