"""How a Runtime is set up: what runs the graphs, and who finds the faces."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from engines.cores import MOST_THREADS
from engines.errors import InputError
from engines.families import AUTO, FAMILY_NAMES, PROVIDERS, Auto, FamilyName, Provider, find
from hp_trt.faces.locators import LOCATORS, Locator
from hp_trt.interface import arguments
from hp_trt.profiles import Profile, profiles_file

Choice = TypeVar("Choice")
Decoder = Literal["cpu", "nvdec"]
Encoder = Literal["cpu", "nvenc"]
MOST_DEVICES = 64  # of one clip, which has few windows at a time
LAST_GPU = 1023  # far more than a machine has; CUDA counts them in 32 bits


@dataclass(frozen=True, kw_only=True)
class RuntimeConfig:
    """What runs the graphs, and who finds the faces. Checked when made: raises InputError.

    Nothing below it reads the environment. Its fields:

    family               what runs the graphs: "onnxruntime", "openvino", "tensorrt" or "tensorrt-rtx"; all but the
                         first need plans in the bundle, for this CPU or GPU. "auto": the fastest that the bundle and
                         this machine have (`hp_trt.interface.auto_family`)
    provider             of ONNX Runtime: "cpu" or "cuda"
    device_id            which GPU, from 0
    devices              of ONNX Runtime: several GPUs of one kind, each once, that a clip's windows are spread over; on
                         a CPU so many processes, numbered. (): device_id alone
    weight_budget_bytes  of each graph, so much of its weights stays in GPU memory, for plans with weight streaming;
                         None: all of them
    overlap_decode       decode one clip while the next is denoised, for as much more GPU memory as the decoder's
                         activations; for plans. Live profiles decode a window beside the next one in any case
    threads              of the CPU; None: every core this process may use. The same number gives the same bits
    profile              how much quality for how much speed: "exact", "balanced", "live", "FILE.toml",
                         "FILE.toml:NAME", or a Profile (`hp_trt.profiles`); a name is checked when a bundle is opened
    locator              who finds the faces: "haar", which comes with OpenCV, "yunet", "yoloface" or "mesh"
    locator_file         the network of the face finder: needed by yunet and yoloface; of mesh what `hp-trt fetch mesh`
                         put into the user's data folder, where None is given
    arcface              the network of the identity vector, of HunyuanPortrait arcface.onnx, of Hallo2 glintr100.onnx;
                         None: no identity, as upstream allows
    vocals               Kim_Vocal_2.onnx, which takes music and noise away from speech; None: speech is taken as it is
    max_frames           the longest driving video that is taken; 10,000 is the released program's limit
    decoder              of driving videos: "cpu", or "nvdec" of the GPU device_id: H.264 and HEVC, the same frames
    encoder              of a clip that a video drives: "cpu", which is libx264, or "nvenc" of that GPU
    """

    family: FamilyName | Auto = "onnxruntime"
    provider: Provider = "cpu"
    device_id: int = 0
    devices: tuple[int, ...] = ()
    weight_budget_bytes: int | None = None
    overlap_decode: bool = False
    threads: int | None = None
    profile: str | Profile = "exact"
    locator: Locator = "haar"
    locator_file: Path | str | None = None
    arcface: Path | str | None = None
    vocals: Path | str | None = None
    max_frames: int = 10_000
    decoder: Decoder = "cpu"
    encoder: Encoder = "cpu"

    def __post_init__(self) -> None:
        one_of("family", self.family, (*FAMILY_NAMES, AUTO))
        one_of("provider", self.provider, PROVIDERS)
        one_of("locator", self.locator, LOCATORS)
        one_of("decoder", self.decoder, get_args(Decoder))
        one_of("encoder", self.encoder, get_args(Encoder))
        self._check_types()
        if self.family != "onnxruntime" and self.provider != "cpu":
            raise InputError(
                f"the provider {self.provider} is ONNX Runtime's, the family is {self.family}; leave the provider out"
            )
        if self.devices and self.family != "onnxruntime":
            raise InputError(
                f"several devices are for ONNX Runtime yet, the family is {self.family}; leave devices out, or the "
                "family, and run a clip on each device"
            )
        if self.devices and self.device_id:
            raise InputError(
                f"devices {', '.join(map(str, self.devices))} and device_id {self.device_id} were given; leave one out"
            )
        for_gpu = self.family != AUTO and find(self.family).plans_for == "gpu"
        if self.weight_budget_bytes is not None and not for_gpu:
            raise InputError(f"a weight budget is for TensorRT's plans, the family is {self.family}; leave it out")
        if self.overlap_decode and not for_gpu:
            raise InputError(f"overlap_decode is for TensorRT's plans, the family is {self.family}; leave it out")
        if self.locator == "haar" and self.locator_file is not None:
            raise InputError(
                f"the locator haar takes no file, got {self.locator_file}; "
                "name the locator it belongs to: yunet, yoloface or mesh"
            )

    @property
    def nvdec(self) -> int | None:
        """The GPU that decodes; None: the CPU does."""
        return self.device_id if self.decoder == "nvdec" else None

    @property
    def nvenc(self) -> int | None:
        """The GPU that encodes; None: the CPU does."""
        return self.device_id if self.encoder == "nvenc" else None

    def inputs(
        self,
        *,
        bundle: Path | None = None,
        portrait: Path | str | None = None,
        driving: Path | str | None = None,
        audio: Path | str | None = None,
        landmarks: Path | str | None = None,
        portrait_landmarks: Path | str | None = None,
    ) -> dict[str, Path | str | None]:
        """The files that are read with it, which no output may replace: by what a message calls each."""
        return {
            "the portrait": portrait,
            "the driving video": driving,
            "the sound": audio,
            "the bundle": bundle,
            "the driving faces' file": landmarks,
            "the portrait's face's file": portrait_landmarks,
            "the file of profiles": None if isinstance(self.profile, Profile) else profiles_file(self.profile),
            "the face finder's network": self.locator_file,
            "the network of the identity vector": self.arcface,
            "the network that separates vocals": self.vocals,
        }

    def _check_types(self) -> None:
        """What is no choice: numbers, files, and the profile. Each becomes the plain type that its field names."""
        known = {
            "device_id": arguments.whole("device_id (of GPUs, from 0)", self.device_id, least=0, most=LAST_GPU),
            "devices": self._checked_devices(),
            "overlap_decode": arguments.flag("overlap_decode", self.overlap_decode),
            "max_frames": arguments.whole("max_frames", self.max_frames, least=1),
        }
        if self.threads is not None:
            known["threads"] = arguments.whole("threads", self.threads, least=1, most=MOST_THREADS)
        if self.weight_budget_bytes is not None:
            known["weight_budget_bytes"] = arguments.whole("weight_budget_bytes", self.weight_budget_bytes, least=0)
        for name in ("locator_file", "arcface", "vocals"):
            if getattr(self, name) is not None:
                arguments.path(name, getattr(self, name))
        if not isinstance(self.profile, Profile):
            arguments.path("profile, where it is no Profile,", self.profile)
        for name, value in known.items():
            object.__setattr__(self, name, value)

    def _checked_devices(self) -> tuple[int, ...]:
        if not isinstance(self.devices, list | tuple):
            raise InputError(f"devices needs numbers of devices, as (0, 1), got {arguments.shown(self.devices)}")
        found = [arguments.whole("devices (each)", one, least=0, most=LAST_GPU) for one in self.devices]
        if twice := [one for one in found if found.count(one) > 1]:
            raise InputError(f"device {twice[0]} stands in devices twice; name each once")
        if len(found) == 1:
            raise InputError(f"devices needs at least two, got {found[0]} alone; say device_id for one")
        if len(found) > MOST_DEVICES:
            raise InputError(f"devices can be at most {MOST_DEVICES}, got {len(found)}")
        return tuple(found)


def one_of(name: str, value: object, choices: Sequence[Choice]) -> Choice:
    """The choice that `value` is. Raises InputError, which says what `name` there are."""
    for choice in choices:
        if isinstance(value, type(choice)) and choice == value:
            return choice
    words, found = [str(choice) for choice in choices], arguments.shown(value)
    near = difflib.get_close_matches(value if isinstance(value, str) else found, words, n=1)
    hint = f"did you mean {near[0]}? There" if near else "there"
    raise InputError(f"there is no {name} {found}; {hint} are: {', '.join(words)}")
