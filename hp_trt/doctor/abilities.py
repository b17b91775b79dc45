"""What this machine can build and what it can run, family by family, and the GPU behind the answer.

Nothing here opens a plan or makes a TensorRT runtime: without a driver that ends the process. The GPU is asked with
`engines.gpu`, which gets a code for an answer, and a family's module is imported for its version alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from engines.bundle import Bundle
from engines.cpu import find_cpu
from engines.errors import EngineMismatch, InputError, how_to_install
from engines.families import FAMILIES, ONNXRUNTIME, RTX, Family, load
from engines.gpu import Gpu, NoGpu, find_gpu, gpu_count
from hp_trt.doctor.finding import Finding, version
from hp_trt.interface.auto_family import ORDER, pick_family
from hp_trt.media import nvcodec

TORCH = "2.13.0"
EXPORTERS = ("torch", "diffusers", "onnx", "onnxscript", ONNXRUNTIME.name)  # checkpoints to graphs
# Compare a plan, where a GPU runs it; building alone takes only the family.
COMPARERS = ("torch", "polygraphy", ONNXRUNTIME.name)
DRIVER = Path("/proc/driver/nvidia/version")
FULL_DENOISER_BYTES = 3.1e9  # HunyuanPortrait's plan of the published size in fp16: weights alone


def gpu_findings() -> Iterator[Finding]:
    """The driver and every GPU, or why none can be used."""
    release = driver_release()
    first = find_gpu()
    if isinstance(first, NoGpu):
        if release is None:
            yield Finding(name="GPU", fine=False, found=first.found, fix=first.fix)
        else:
            yield Finding(name="driver", fine=False, found=f"{release}: {first.found}", fix=first.fix)
        return
    serves = f"for CUDA up to {_number(first.driver_cuda)}"
    yield Finding(name="driver", fine=True, found=serves if release is None else f"{release}, {serves}")
    for index in range(gpu_count()):
        gpu = find_gpu(index)
        if isinstance(gpu, NoGpu):
            yield Finding(name=f"GPU {index}", fine=False, found=gpu.found, fix=gpu.fix)
            continue
        free = free_bytes(index)
        said = f"{gpu.name}, capability {gpu.capability}, "
        yield Finding(
            name=f"GPU {index}",
            fine=free >= FULL_DENOISER_BYTES,
            found=said + f"{free / 2**30:.1f} of {gpu.total_bytes / 2**30:.1f} GiB free",
            fix="at the published size hunyuanportrait's denoiser takes 2.9 GiB of weights alone, hallo2's UNets 4.0: "
            "end what else runs there, or build for a smaller size",
        )


def family_findings() -> Iterator[Finding]:
    """The plan families: which are installed, and whether this program knows their version."""
    for family in FAMILIES.values():
        if family.has_plans:
            found = version_or_trouble(family)
            if isinstance(found, EngineMismatch):
                yield trouble(family.name, family, found, no="")
            else:
                yield Finding(name=family.name, fine=True, found=found)


def ability_findings() -> Iterator[Finding]:
    """`build` and `run` lines of every family."""
    gpu = find_gpu()
    for family in FAMILIES.values():
        yield _build(family, gpu)
        yield _run(family, gpu)


def coder_findings() -> Iterator[Finding]:
    """NVIDIA's decoder and encoder of video, each with what the first GPU says of it, or why it cannot be used."""
    for wanted, kinds in ((nvcodec.NVDEC, tuple(nvcodec.DECODED)), (nvcodec.NVENC, ("h264",))):
        try:
            coders = nvcodec.Coders(wanted, 0)
            caps = coders.decoder_caps(kinds[0]) if wanted == nvcodec.NVDEC else coders.encoder_caps()
        except InputError as error:
            found, _, fix = str(error).rpartition("; ")
            yield Finding(name=wanted, fine=False, found=found, fix=fix)
            continue
        engines = caps.get("num_decoder_engines", caps.get("num_encoder_engines"))
        most = f"up to {caps.get('width_max')} x {caps.get('height_max')}"
        yield Finding(
            name=wanted,
            fine=bool(caps.get("supported", 1)),
            found=f"{nvcodec.VERSION} on {coders.gpu.name}, engines {engines}, {' and '.join(kinds)} {most}, for "
            f"{nvcodec.OPTIONS[wanted]}",
            fix=f"leave {nvcodec.OPTIONS[wanted]} out",
        )


def auto_finding(bundle: Path | None) -> Finding:
    """What `--family auto` would pick: for `bundle`, or of those families that run here. Raises BundleError."""
    if bundle is not None:
        return Finding(name="family auto", fine=True, found=str(pick_family(Bundle.open(bundle, family=""))))
    gpu = find_gpu()
    plans = [family.name for family in ORDER if family.has_plans and _run(family, gpu).fine]
    where = f"plans of {', then '.join(plans)}, where the bundle has them for this machine, else " if plans else ""
    return Finding(name="family auto", fine=True, found=f"{where}{ONNXRUNTIME.name}; --bundle DIR says it of a bundle")


def export_findings() -> Iterator[Finding]:
    """What makes graphs of checkpoints, and compares engines with their networks."""
    needed = dict.fromkeys((*EXPORTERS, *COMPARERS))
    missing = missing_of(needed)
    torch = (version("torch") or "").split("+")[0]
    found = ", ".join(f"{name} {_installed(name)}" for name in needed if name not in missing)
    yield Finding(
        name="export",
        fine=not missing and torch == TORCH,
        found=(found or "nothing") + (f"; missing {', '.join(missing)}" if missing else ""),
        fix=f"to build bundles here: {install_export()}",
    )


def runs_plans() -> bool:
    """Whether a family runs all graphs of a bundle from plans here: such a machine animates without ONNX Runtime."""
    gpu = find_gpu()
    return any(_run(family, gpu).fine for family in FAMILIES.values() if family.plans_for == "gpu")


def missing_of(packages: Iterable[str]) -> list[str]:
    return [name for name in packages if _installed(name) is None]


def install_export() -> str:
    """How to install what exports. ONNX Runtime comes along only where there is none: a second package of it would
    overwrite the first one's files."""
    extras = "cpu,export" if missing_of([ONNXRUNTIME.name]) else "export"
    return f"pip install torch=={TORCH}, then {how_to_install(extras)}"


def version_or_trouble(family: Family) -> str | EngineMismatch:
    """The version of a family's module, or the error that says why it cannot be used."""
    try:
        return load(family).__version__
    except EngineMismatch as error:
        return error


def trouble(name: str, family: Family, error: EngineMismatch, *, no: str = "no: ") -> Finding:
    """From an error of `families.load`, whose last words are what to do."""
    found, _, fix = str(error).rpartition("; ")
    return Finding(name=name, fine=False, found=no + found.removeprefix(f"{family.name} is "), fix=fix)


def driver_release() -> str | None:
    """The kernel driver's own number, "580.65.06"; None where none is loaded."""
    try:
        found = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", DRIVER.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return found[0] if found else None


def free_bytes(index: int) -> int:
    """Memory that is free on a usable device; 0 where it does not answer, as a full one does."""
    from cuda.bindings import runtime as cuda

    cuda.cudaSetDevice(index)
    _, free, _ = cuda.cudaMemGetInfo()
    return int(free or 0)


def _build(family: Family, gpu: Gpu | NoGpu) -> Finding:
    name = f"build {family.name}"
    if family is ONNXRUNTIME:
        missing = missing_of(EXPORTERS)
        said = (
            f"no: without {', '.join(missing)}"
            if missing
            else "yes: its graphs run anywhere, and plans are made of them"
        )
        return Finding(name=name, fine=not missing, found=said, fix=install_export())
    if isinstance(found := version_or_trouble(family), EngineMismatch):
        return trouble(name, family, found)
    if family.plans_for == "cpu":
        return _with_comparers(Finding(name=name, fine=True, found=f"yes, for this CPU ({find_cpu().name})"))
    if family.capabilities:
        known = f"for capabilities {', '.join(family.capabilities)}"
        return _compared(Finding(name=name, fine=True, found=f"yes, {known}"), family, gpu)
    if isinstance(gpu, NoGpu):
        return Finding(name=name, fine=False, found=f"no: it builds on the GPU it is for, {gpu.found}", fix=gpu.fix)
    return _compared(
        Finding(name=name, fine=True, found=f"yes, for {gpu.name} (capability {gpu.capability})"), family, gpu
    )


def _compared(yes: Finding, family: Family, gpu: Gpu | NoGpu) -> Finding:
    """Where this GPU runs what is built, it is compared; for that, more is needed."""
    runs = isinstance(gpu, Gpu) and gpu.capability in (family.capabilities or (gpu.capability,))
    return _with_comparers(yes) if runs else yes


def _with_comparers(yes: Finding) -> Finding:
    if missing := missing_of(COMPARERS):
        only = f"only with --no-parity, without {' and '.join(missing)}"
        return replace(yes, fine=False, found=f"{yes.found}; {only}", fix=install_export())
    return yes


def _run(family: Family, gpu: Gpu | NoGpu) -> Finding:
    name = f"run {family.name}"
    if isinstance(found := version_or_trouble(family), EngineMismatch):
        return trouble(name, family, found)
    if family is ONNXRUNTIME:
        return Finding(name=name, fine=True, found=f"yes, on the CPU{_and_cuda(gpu)}")
    if family.plans_for == "cpu":
        return Finding(name=name, fine=True, found=f"yes, on the CPU{_in_bf16()}")
    if isinstance(gpu, NoGpu):
        return Finding(name=name, fine=False, found=f"no: {gpu.found}", fix=gpu.fix)
    if family.capabilities and gpu.capability not in family.capabilities:
        return Finding(
            name=name,
            fine=False,
            found=f"no: {gpu.name} has capability {gpu.capability}, it takes {', '.join(family.capabilities)}",
            fix="use another family: onnxruntime with CUDA" + (", or tensorrt" if family is RTX else ""),
        )
    return Finding(name=name, fine=True, found=f"yes, on {gpu.name}")


def _in_bf16() -> str:
    from engines.openvino_backend import OpenVinoBackend

    return ", in float32 and bf16" if OpenVinoBackend(threads=1).has_bf16 else ", in float32; this CPU has no bf16"


def _and_cuda(gpu: Gpu | NoGpu) -> str:
    offered = "CUDAExecutionProvider" in load(ONNXRUNTIME).get_available_providers()
    return f" and with CUDA on {gpu.name}" if offered and isinstance(gpu, Gpu) else ""


def _installed(package: str) -> str | None:
    """A package's version. ONNX Runtime's is asked of its module, which comes as one of several packages."""
    if package != ONNXRUNTIME.name:
        return version(package)
    found = version_or_trouble(ONNXRUNTIME)
    return None if isinstance(found, EngineMismatch) else found


def _number(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
