"""How a Runtime is set up: what runs the graphs, and who finds the faces."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engines.errors import InputError
from engines.families import FAMILY_NAMES, PROVIDERS, FamilyName, Provider
from hp_trt.faces.locators import LOCATORS, Locator
from hp_trt.profiles import Profile

Choice = TypeVar("Choice")


@dataclass(frozen=True, kw_only=True)
class RuntimeConfig:
    """What runs the graphs, and who finds the faces. Checked when made: raises InputError.

    Nothing below it reads the environment. Its fields:

    family               what runs the graphs: "onnxruntime", "tensorrt" or "tensorrt-rtx"; the last two need plans for
                         this GPU in the bundle
    provider             of ONNX Runtime: "cpu" or "cuda"
    device_id            which GPU, from 0
    weight_budget_bytes  of each graph, so much of its weights stays in GPU memory, for plans with weight streaming;
                         None: all of them
    overlap_decode       decode one clip while the next is denoised, for as much more GPU memory as the decoder's
                         activations; for plans
    threads              of the CPU; None: every core this process may use. The same number gives the same bits
    profile              how much quality for how much speed: "exact", "balanced", "live", "FILE.toml",
                         "FILE.toml:NAME", or a Profile (`hp_trt.profiles`); a name is checked when a bundle is opened
    locator              who finds the faces: "haar", which comes with OpenCV, "yunet", "yoloface" or "mesh"
    locator_file         the network of the face finder: needed by yunet and yoloface; of mesh what `hp-trt fetch mesh`
                         put into the user's data folder, where None is given
    arcface              arcface.onnx, for the identity vector; None: no identity, as upstream allows
    max_frames           the longest driving video that is taken; 10,000 is the released program's limit
    """

    family: FamilyName = "onnxruntime"
    provider: Provider = "cpu"
    device_id: int = 0
    weight_budget_bytes: int | None = None
    overlap_decode: bool = False
    threads: int | None = None
    profile: str | Profile = "exact"
    locator: Locator = "haar"
    locator_file: Path | str | None = None
    arcface: Path | str | None = None
    max_frames: int = 10_000

    def __post_init__(self) -> None:
        one_of("family", self.family, FAMILY_NAMES)
        one_of("provider", self.provider, PROVIDERS)
        one_of("locator", self.locator, LOCATORS)
        if self.family != "onnxruntime" and self.provider != "cpu":
            raise InputError(
                f"the provider {self.provider} is ONNX Runtime's, the family is {self.family}; leave the provider out"
            )
        if self.weight_budget_bytes is not None and self.family == "onnxruntime":
            raise InputError("a weight budget is for TensorRT's plans, the family is onnxruntime; leave it out")
        if self.weight_budget_bytes is not None and self.weight_budget_bytes < 0:
            raise InputError(f"weight_budget_bytes must be at least 0, got {self.weight_budget_bytes}")
        if self.overlap_decode and self.family == "onnxruntime":
            raise InputError("overlap_decode is for TensorRT's plans, the family is onnxruntime; leave it out")
        if self.device_id < 0:
            raise InputError(f"device_id counts GPUs from 0, got {self.device_id}")
        if self.max_frames < 1:
            raise InputError(f"max_frames must be at least 1, got {self.max_frames}")
        if self.locator == "haar" and self.locator_file is not None:
            raise InputError(
                f"the locator haar takes no file, got {self.locator_file}; "
                "name the locator it belongs to: yunet, yoloface or mesh"
            )


def one_of(name: str, value: object, choices: Sequence[Choice]) -> Choice:
    """The choice that `value` is. Raises InputError, which says what `name` there are."""
    for choice in choices:
        if choice == value:
            return choice
    words = [str(choice) for choice in choices]
    near = difflib.get_close_matches(str(value), words, n=1)
    hint = f"did you mean {near[0]}? There" if near else "there"
    raise InputError(f"there is no {name} {value!r}; {hint} are: {', '.join(words)}")
