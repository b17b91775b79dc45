"""The engine families: four ways to run the same graphs.

TensorRT and TensorRT for RTX have nearly the same Python API, so one code serves both; what differs is a field here. A
family's module is imported by `load`, and nowhere else.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Literal, get_args

from engines.errors import EngineMismatch, InputError, how_to_install
from engines.spec import QUANTIZATIONS

FamilyName = Literal["onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"]
FAMILY_NAMES: tuple[FamilyName, ...] = get_args(FamilyName)
Auto = Literal["auto"]
AUTO: Auto = "auto"  # asked for in the place of a family: the fastest that a bundle and its machine have
Provider = Literal["cpu", "cuda"]  # of ONNX Runtime
PROVIDERS: tuple[Provider, ...] = get_args(Provider)


@dataclass(frozen=True, kw_only=True)
class Family:
    """One library that runs graphs, or plans that were built of them."""

    name: FamilyName
    module: str
    install: str
    versions: tuple[str, ...]  # of its API that this program knows, by prefix
    builds_without_gpu: bool
    capabilities: tuple[str, ...] = ()  # that can be targeted ahead of time; empty: only the GPU at hand
    in_8_bits: Mapping[str, str] = field(default_factory=dict)  # kind of products that it has -> from which capability
    in_bf16: bool = False  # products in bfloat16, of graphs that were exported in another precision
    plans_for: Literal["", "gpu", "cpu"] = ""  # what its plans are built for; "": it runs graphs as they are

    @property
    def has_plans(self) -> bool:
        """Whether graphs are built into plans for a kind of GPU or CPU, instead of being run as they are."""
        return bool(self.plans_for)

    def computes(self, precision: str, capabilities: Sequence[str] = ()) -> bool:
        """Whether it has fast products for graphs of this precision, on GPUs of all these capabilities."""
        if precision not in QUANTIZATIONS:
            return True
        least = self.in_8_bits.get(precision)
        return least is not None and all(_number(c) >= _number(least) for c in capabilities)


def _number(capability: str) -> tuple[int, ...]:
    return tuple(int(part) for part in capability.split(".") if part)


ONNXRUNTIME = Family(
    name="onnxruntime",
    module="onnxruntime",
    install=f"{how_to_install('cpu')}, or '.[cuda]' for CUDA: the two share their files, never install both",
    versions=("1.",),
    builds_without_gpu=True,
    in_8_bits={"int8": "0"},  # on its CPU provider; fp8 tensors it widens
)
OPENVINO = Family(
    name="openvino",
    module="openvino",
    install=how_to_install("openvino"),
    versions=("2026.4.",),
    builds_without_gpu=True,
    in_bf16=True,
    plans_for="cpu",
)
TENSORRT = Family(
    name="tensorrt",
    module="tensorrt",
    install=how_to_install("tensorrt"),
    versions=("11.", "10.16"),
    builds_without_gpu=False,
    in_8_bits={"int8": "7.5", "fp8": "8.9"},
    plans_for="gpu",
)
RTX = Family(
    name="tensorrt-rtx",
    module="tensorrt_rtx",
    install=how_to_install("rtx"),
    versions=("1.7",),
    builds_without_gpu=True,
    # 7.5 exists in its API, and fails on this UNet (an fp16 fusion).
    capabilities=("8.0", "8.6", "8.9", "12.0", "12.1"),
    # int8 it has for weights alone, by its support matrix.
    in_8_bits={"fp8": "8.9"},
    plans_for="gpu",
)
FAMILIES = {family.name: family for family in (ONNXRUNTIME, OPENVINO, TENSORRT, RTX)}


def find(name: str) -> Family:
    """The family of this name. Raises InputError with the nearest name."""
    if name not in FAMILIES:
        near = difflib.get_close_matches(name, FAMILIES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(FAMILIES)}"
        raise InputError(f"there is no engine family {name!r}; {hint}")
    return FAMILIES[name]


def is_installed(family: Family) -> bool:
    return importlib.util.find_spec(family.module) is not None


def load(family: Family) -> ModuleType:
    """The family's Python module. Raises EngineMismatch when it is missing, broken or of a version we do not know."""
    if not is_installed(family):
        raise EngineMismatch(f"{family.name} is not installed; {family.install}")
    try:
        module = importlib.import_module(family.module)
    except (ImportError, OSError) as error:
        raise EngineMismatch(f"{family.name} is installed and does not load: {error}; {family.install}") from error
    if not module.__version__.startswith(family.versions):
        raise EngineMismatch(
            f"{family.name} {module.__version__} is installed, this program knows "
            f"{' and '.join(v.rstrip('.') for v in family.versions)}; {family.install}"
        )
    return module
