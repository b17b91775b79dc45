"""What every model is to an application: the protocol `Model`, and the types that both sides of it share.

A model turns pictures, or sound, into what its graphs take, walks the graphs, and gives frames. `hp_trt.api` and
`hp_trt.live` know no more of a model than stands here. Each model has a room of its own, which `hp_trt.models` opens by
the model's name.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypedDict

import numpy as np

from engines.backend import Backend
from engines.bundle import Bundle
from hp_trt.config import RuntimeConfig
from hp_trt.encoded.driver import EncodedDriver
from hp_trt.encoded.encoded_file import Encoded, EncodedFile
from hp_trt.faces.face import FaceLocator
from hp_trt.live.stream import Stream
from hp_trt.media.driving_frames import DrivingFrames
from hp_trt.media.portrait import Picture, Portrait
from hp_trt.open_graphs import OpenGraphs
from hp_trt.profiles import Profile, Profiles
from hp_trt.resume.loop_state import LoopState
from runtime.stages import Stages
from runtime.work import Work

__all__ = ["AudioSource", "Clip", "Driver", "Driving", "Model", "SamplingOptions", "Speech"]

Driver = Literal["video", "audio"]  # what moves the portrait
AudioSource = Path | tuple[np.ndarray, int]  # a file, or samples (n,) or (n, channels) and their rate in Hz


class SamplingOptions(TypedDict, total=False):
    """What a caller may set by name, for type checkers: each model takes those that it knows, and refuses others.

    None is no option: the profile's or the bundle's own holds.
    """

    steps: int | None
    schedule: str | None
    skip_last: int | None
    deep_every: int | None
    strength: float | None
    window: int | None
    overlap: int | None
    shift: int | None
    pad_frames: int | None
    guidance_appearance: tuple[float, float] | None
    guidance_motion: tuple[float, float] | None
    guidance_interval: tuple[float, float] | None
    noise_aug_strength: float | None
    decode_chunk: int | None
    fps: float | None
    motion_bucket_id: int | None
    seed: int | None
    scaling_factor: float | None
    guidance: float | None
    motion_weights: tuple[float, float, float] | None
    mask_rate: float | None
    join: bool | None  # of speech: each clip begins where the one before was going
    mood: str | None  # of speech: a word, "happy", or one mixed with neutral, "happy:0.5"


class Kept(TypedDict, total=False):
    """Of a clip that may be left and gone on with."""

    keeps: bool
    state: LoopState | None


@dataclass(frozen=True, kw_only=True)
class Driving:
    """A video that a clip follows."""

    frames: DrivingFrames  # with their times, where they have any
    locator: FaceLocator  # says where the faces are
    max_frames: int  # more are refused
    keeps: bool = False  # whether the clip may be left and gone on with: whether its `state` will be asked for
    state: LoopState | None = None  # of a clip that was left: it goes on behind this


@dataclass(frozen=True, kw_only=True)
class Speech:
    """Sound that a clip follows."""

    source: AudioSource
    released_plan: bool = False  # cut and padded as the released program does it, which may lose the end
    state: LoopState | None = None  # of a clip that was left: it goes on behind this


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames to come, and what there is to note once they have. Whoever takes frames closes `frames`, early or not."""

    # Each frame's index, from 0, its time on the driving file's clock, and its square (S, S, 3) uint8 RGB.
    frames: Generator[tuple[int, Fraction | None, np.ndarray], None, None]
    notes: Callable[[], Sequence[str]]
    # Where such a clip may be left and gone on with: after each frame that ends a chunk, the loop's state; None after
    # the others.
    state: Callable[[], LoopState | None] = lambda: None
    begins_s: Fraction | None = None  # of a file that drives it: where frame 0 is, on that file's clock
    times: Sequence[Fraction | None] | None = None  # of all frames, on that clock, where they come at any distance


class Model(Protocol):
    """One algorithm over the opened graphs of one bundle. Not for use from two threads at once."""

    driver: ClassVar[Driver]
    options: ClassVar[frozenset[str]]  # of `SamplingOptions`, those that it knows
    profiles: ClassVar[Profiles]
    streamed: ClassVar[frozenset[str]]  # roles that the threads of a live session run
    beside: ClassVar[frozenset[str]]  # roles of a clip that run beside one another, and beside themselves
    in_bf16: ClassVar[frozenset[str]]  # roles that a profile's precision is about
    added_by: ClassVar[Mapping[str, str]]  # graphs that not every bundle has -> the build's option that adds them

    def __init__(self, bundle: Bundle, config: RuntimeConfig, backend: Backend, graphs: OpenGraphs) -> None: ...

    @staticmethod
    def check_bundle(bundle: Bundle) -> None:
        """Raises BundleError for a bundle whose numbers, or graphs, are not what this model can work with. Only the
        manifest is looked at."""

    def roles(self, profile: Profile) -> Mapping[str, str]:
        """The graphs that `profile` needs: by what the loops call each, its name."""

    @staticmethod
    def check_sampling(bundle: Bundle, profile: Profile) -> None:
        """Raises InputError for a profile, with its sampling options, that this model or bundle cannot do.

        The message says what is wrong, without the profile's name: an option may be the caller's. Only the manifest is
        looked at.
        """

    @staticmethod
    def seed(bundle: Bundle, profile: Profile) -> int:
        """Of the noise, whoever says it: the caller, the profile, the bundle or the model itself. Only the manifest is
        looked at."""

    def notes(self, profile: Profile) -> tuple[str, ...]:
        """What a user should know of this bundle in this profile, a line each."""

    def portrait(self, image: Picture, locator: FaceLocator, stages: Stages) -> Portrait:
        """Find the face and encode it, or read what a portrait file holds. Raises InputError for what is no picture,
        FaceNotFound, NonFiniteError."""

    def portrait_to_keep(self, portrait: Portrait) -> Encoded:
        """What becomes a portrait file. Raises InputError for a portrait that another model has encoded."""

    @property
    def motion_bytes(self) -> int:
        """How much of a motion file one frame takes, but for its sound and what is portable."""

    def motion(self, driving: Driving | Speech, profile: Profile, stages: Stages, *, portable: bool = False) -> Encoded:
        """What becomes a motion file, as the profile sees what `driver` says. `portable`: with what other graphs can
        encode again. Raises InputError, FaceNotFound, NonFiniteError."""

    @staticmethod
    def check_motion(bundle: Bundle, file: EncodedDriver | EncodedFile, profile: Profile) -> None:
        """Raises InputError for a motion file that cannot stand for what `driver` says, with this bundle and profile.
        Only the manifest is looked at."""

    def check_portrait(self, portrait: Portrait) -> None:
        """Raises InputError for a portrait that another model has encoded."""

    def clip(self, portrait: Portrait, driving: Driving | Speech, profile: Profile, stages: Stages) -> Clip:
        """A whole clip, by a profile of mode clip, of what `driver` says. Raises InputError, FaceNotFound, BundleError,
        NonFiniteError."""

    def stream(self, portrait: Portrait, locator: FaceLocator, profile: Profile, after: Stream | None = None) -> Stream:
        """A stream by a profile of mode live. `after`: the stream that it takes the place of, and sees on from.

        Raises InputError, BundleError.
        """

    def work(self, profile: Profile, frames: int) -> Work:
        """What the profile does for a clip of so many frames: how often each graph is called. For measuring."""
