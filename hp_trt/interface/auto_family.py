"""`--family auto`: the fastest family that a bundle and this machine have, asked for by name.

A plan that fits this GPU comes first, then OpenVINO where the bundle has a table for this CPU, then ONNX Runtime, which
runs every bundle. It is never the default: what is installed, or built, then changes no bits of anybody's result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from engines.bundle import Bundle
from engines.cpu import Cpu
from engines.errors import EngineMismatch
from engines.families import AUTO, ONNXRUNTIME, OPENVINO, RTX, TENSORRT, Auto, Family, FamilyName
from engines.plan_choice import choose_plans, find_here
from hp_trt.config import RuntimeConfig
from hp_trt.media.nvcodec import require
from hp_trt.models import profile_of
from hp_trt.profiles import Profile

ORDER = (TENSORRT, RTX, OPENVINO, ONNXRUNTIME)


@dataclass(frozen=True, kw_only=True)
class Pick:
    """What `auto` stands for, of one bundle on this machine."""

    family: FamilyName
    passed: Mapping[FamilyName, str] = field(default_factory=dict)  # the faster ones, and why each is not taken

    def __str__(self) -> str:
        why = "".join(f"; not {name}: {reason}" for name, reason in self.passed.items())
        return f"{AUTO} is {self.family}{why}"


def pick_family(bundle: Bundle, profile: Profile | None = None, device_id: int = 0) -> Pick:
    """The first of `ORDER` that can run all graphs of `bundle` in full precision, and the products of `profile`."""
    passed: dict[FamilyName, str] = {}
    for family in ORDER[:-1]:
        if not (why := _why_not(bundle, family, profile, device_id)):
            return Pick(family=family.name, passed=passed)
        passed[family.name] = why
    return Pick(family=ONNXRUNTIME.name, passed=passed)


def settled(bundle: Bundle | Path | str, config: RuntimeConfig) -> tuple[RuntimeConfig, tuple[str, ...]]:
    """`config` with a family in the place of `auto`, and a note that says which and why; any other as it is.

    Of a bundle that is not open yet the manifest is enough. Raises BundleError, and InputError where a decoder or an
    encoder that was asked for is not on this machine.
    """
    require(decoder=config.decoder, encoder=config.encoder, index=config.device_id)
    if config.family != AUTO:
        return config, ()
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle, family="")
    pick = pick_family(opened, profile_of(opened, config), config.device_id)
    return replace(config, family=pick.family), (str(pick),)


def settled_family(bundle: Path | str, family: FamilyName | Auto, device_id: int = 0) -> FamilyName:
    """`family`, or what `auto` stands for in a bundle that is to be opened for it. Raises BundleError."""
    return pick_family(Bundle.open(bundle, family=""), device_id=device_id).family if family == AUTO else family


def _why_not(bundle: Bundle, family: Family, profile: Profile | None, device_id: int) -> str:
    """Why `family` is not taken; empty where it can be."""
    if not bundle.engine_sets(family.name):
        return "the bundle holds no plans of it"
    if profile is not None and not family.computes(profile.quantize):
        return f"it has no {profile.quantize} products"
    if profile is not None and profile.precision == "bf16" and not family.in_bf16:
        return "it has no bf16 products of its own choice"
    try:
        here = find_here(family, device_id)
        capabilities = () if isinstance(here.device, Cpu) else (here.device.capability,)
        graphs = bundle.manifest.graphs.values()
        choose_plans(bundle, here, [g.name for g in graphs if family.computes(g.precision, capabilities)])
    except EngineMismatch as error:
        return str(error)
    return ""
