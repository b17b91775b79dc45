"""Which of a bundle's plans this machine can run, and why not the others.

Plans are tied to what they were built with: TensorRT's version, the kind of GPU, the platform. That is looked up here,
before a byte of a plan reaches TensorRT, which would say less.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass

from engines.bundle import Bundle
from engines.errors import EngineMismatch
from engines.gpu import Gpu
from engines.manifest import build_command, came_with_us, plan_command
from engines.plans import EngineSet, Target


@dataclass(frozen=True, kw_only=True)
class Here:
    """What would run the plans."""

    family: str
    version: str  # of the family, in full
    gpu: Gpu


def platform_name() -> str:
    """`linux-x86_64`: plans do not travel between platforms."""
    return f"{platform.system()}-{platform.machine()}".lower()


def choose_plans(bundle: Bundle, here: Here, names: Sequence[str]) -> EngineSet:
    """The last built set that runs here and holds a plan for each of `names`.

    Raises EngineMismatch: none was built, none fits (each with its reason), or the one that fits is not complete.
    """
    sets = bundle.engine_sets(here.family)
    data = bundle.manifest.to_json()
    command = plan_command(bundle.path, here.family)
    if came_with_us(data):
        command = f"{build_command(bundle.path, data)} --family {here.family}"
    if not sets:
        raise EngineMismatch(f"{bundle.path} holds no plans for {here.family}; build them: {command}")
    reasons = {engines.target.folder: misfit(engines.target, here) for engines in sets}
    fitting = [engines for engines in sets if not reasons[engines.target.folder]]
    if not fitting:
        found = "; ".join(f"{folder}: {reason}" for folder, reason in reasons.items())
        raise EngineMismatch(f"{bundle.path} holds no plans that run here: {found}; build them: {command}")
    lacking = [[name for name in names if name not in engines.plans] for engines in fitting]
    for engines, missing in zip(reversed(fitting), reversed(lacking), strict=True):
        if not missing:
            return engines
    raise EngineMismatch(
        f"{bundle.path / fitting[-1].target.folder} lacks plans for {', '.join(lacking[-1])}; build them: "
        + plan_command(bundle.path, here.family, fitting[-1].target)
    )


def misfit(target: Target, here: Here) -> str:
    """Why plans of `target` do not run on `here`; empty when they do."""
    if target.platform and target.platform != platform_name():
        return f"built on {target.platform}, this is {platform_name()}"
    if not _version_fits(target, here.version):
        return f"built with {target.family} {target.version}, this process has {here.version}"
    if target.gpu and target.gpu != here.gpu.name:
        return f"built on {target.gpu}, this is {here.gpu.name}"
    if target.options.hardware_compatible and target.family == "tensorrt":
        if numbers(here.gpu.capability) < numbers(target.capabilities[0]):
            return f"built for capability {target.capabilities[0]} and later, {here.gpu.name} has {here.gpu.capability}"
    elif here.gpu.capability not in target.capabilities:
        return f"built for capability {', '.join(target.capabilities)}, {here.gpu.name} has {here.gpu.capability}"
    return ""


def _version_fits(target: Target, version: str) -> bool:
    if not target.options.version_compatible:
        return target.version == version
    built, here = numbers(target.version), numbers(version)
    return built[0] == here[0] and here >= built


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version or a capability, to compare: "12.0" comes after "8.9"."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())
