"""What plans are built for, decided before anything is built; and the key that says when a plan is built again.

TensorRT builds on the GPU that will run its plans, OpenVINO on the CPU. TensorRT for RTX compiles for capabilities,
with a GPU or without one, but some options need the GPU and some it does not know: refused here in one line each, where
the builder would fail after minutes, in words of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from engines import families
from engines.cpu import find_cpu
from engines.errors import EngineMismatch, InputError
from engines.families import Family
from engines.gpu import NoGpu, find_gpu, require_gpu
from engines.manifest import GraphRecord
from engines.plan_choice import numbers, platform_name
from engines.plans import PlanOptions, Target
from export.code_hash import code_hash

PLAN_CODE = ("plans",)  # of `export/`: what decides a plan

# What people call the GPUs of a capability.
MEANING = {
    "8.0": "A100",
    "8.6": "RTX 30",
    "8.9": "RTX 40",
    "12.0": "RTX 50",
    "12.1": "GB10",
}
_NOT_BUILT = {
    "7.5": "TensorRT for RTX fails on this UNet for 7.5 (RTX 20)",
    "9.0": "TensorRT for RTX rejects 9.0 (H100, H200): use --family tensorrt there",
}


def plan_target(family: Family, capabilities: Sequence[str], options: PlanOptions, device_id: int = 0) -> Target:
    """The target of a build. `capabilities` as the user gave them; empty: the GPU at hand.

    Raises InputError for what cannot be asked of this family, EngineMismatch when the GPU it needs is not there.
    """
    version = families.load(family).__version__
    if family.plans_for == "cpu":
        _check_cpu_options(family, capabilities, options, device_id)
        cpu = find_cpu()
        capabilities, gpu = cpu.features, cpu.name
    elif family.name == families.RTX.name:
        _check_rtx_options(options, device_id)
        capabilities, gpu = _rtx_capabilities(family, capabilities, device_id), ""
    else:
        if capabilities:
            raise InputError(
                f"{family.name} builds for the GPU at hand, got --capability {','.join(capabilities)}; leave it out, "
                "or use --family tensorrt-rtx"
            )
        device = require_gpu(device_id)
        capabilities, gpu = (device.capability,), "" if options.hardware_compatible else device.name
        if options.hardware_compatible and numbers(device.capability) < (8, 0):
            raise EngineMismatch(
                f"--hardware-compatible plans begin at capability 8.0 (Ampere), {device.name} has {device.capability}; "
                "leave it out"
            )
    return Target(
        family=family.name,
        version=version,
        capabilities=tuple(capabilities),
        gpu=gpu,
        platform=platform_name(),
        options=options,
    )


def plan_key(target: Target, graph: GraphRecord) -> str:
    """sha256 (hex) over everything that decides what a plan contains.

    A stripped plan carries no weights: other weights of the same shapes give the same key.
    """
    facts = {
        "target": target.to_json(),
        "graph": graph.decides_plan(stripped=target.options.strip),
        "spec": graph.spec.to_json(),
        "code": code_hash(*PLAN_CODE),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _check_cpu_options(family: Family, capabilities: Sequence[str], options: PlanOptions, device_id: int) -> None:
    """What only plans for GPUs have: an option that would do nothing is a misunderstanding."""
    given = {name: value != getattr(PlanOptions(), name) for name, value in asdict(options).items()}
    given |= {"capability": bool(capabilities), "device": device_id != 0, "workspace": given.pop("workspace_bytes")}
    for name in (name for name, is_given in given.items() if is_given):
        raise InputError(
            f"--{name.replace('_', '-')} is for plans of a GPU, those of {family.name} are for the CPU here; leave it "
            "out, or give --family tensorrt or tensorrt-rtx"
        )


def _rtx_capabilities(family: Family, asked: Sequence[str], device_id: int) -> tuple[str, ...]:
    known = ", ".join(f"{c} ({MEANING[c]})" for c in family.capabilities)
    if asked:
        for capability in asked:
            if capability not in family.capabilities:
                reason = _NOT_BUILT.get(capability, f"there is no capability {capability!r}")
                raise InputError(f"{reason}; choose --capability from {known}")
        return tuple(sorted(set(asked), key=numbers))
    gpu = find_gpu(device_id)
    if isinstance(gpu, NoGpu):
        raise InputError(
            f"{family.name} has no GPU here to build for ({gpu.found}); say which with --capability, from {known}"
        )
    if gpu.capability not in family.capabilities:
        raise EngineMismatch(
            f"{_NOT_BUILT.get(gpu.capability, f'{family.name} does not build for {gpu.capability}')}, and {gpu.name} "
            f"has {gpu.capability}; use --family tensorrt here, or --capability for another GPU, from {known}"
        )
    return (gpu.capability,)


def _check_rtx_options(options: PlanOptions, device_id: int) -> None:
    """What TensorRT for RTX 1.7 cannot do, found by trying."""
    if options.version_compatible:  # it looks for libnvinfer_lean, which is in no RTX package
        raise InputError("tensorrt-rtx builds no --version-compatible plans: it has no lean runtime; leave it out")
    if options.hardware_compatible:  # the builder ignores it, with a warning
        raise InputError(
            "tensorrt-rtx has no --hardware-compatible: its plans run on every GPU of their capabilities; "
            "name them all with --capability"
        )
    if options.strip and isinstance(gpu := find_gpu(device_id), NoGpu):  # CUDA is asked while compiling
        raise InputError(
            f"tensorrt-rtx needs a GPU to build plans with --strip, found: {gpu.found}; leave it out, or "
            "build on a machine with the GPU"
        )
