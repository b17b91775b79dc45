"""Runtime: open a bundle once, animate many clips.

What an application sees, and where the parts are put together: a bundle's graphs are opened by `hp_trt.open_graphs`, a
portrait is encoded by `hp_trt.hunyuanportrait.portrait_encoder`, frames are made by `hp_trt.hunyuanportrait.clip` or,
live, by `hp_trt.live.session`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from engines.backend import Backend, Session
from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.config import RuntimeConfig, profile_of
from hp_trt.faces.arcface import no_identity, open_arcface
from hp_trt.faces.face import FaceLocator
from hp_trt.faces.locators import open_locator
from hp_trt.hunyuanportrait.clip import clip_frames, read_motion
from hp_trt.hunyuanportrait.portrait_encoder import Portrait, PortraitEncoder
from hp_trt.media.driving_frames import DrivingFrames
from hp_trt.media.paste import PasteBack
from hp_trt.media.video import VideoReader
from hp_trt.open_graphs import OpenGraphs, open_backend
from hp_trt.profiles import Profile, find_profile
from runtime.hunyuanportrait.sampling import Sampling
from runtime.stages import Event, Stages

if TYPE_CHECKING:
    from hp_trt.live.queues import Policy
    from hp_trt.live.session import LiveSession

__all__ = [
    "Animation", "Driving", "Faces", "Frame", "Picture", "Portrait", "Runtime", "open_backend",
]  # fmt: skip

_LIVE_SPANS = 10_000  # of a session that may never end
Picture = Path | str | np.ndarray
Driving = Path | str | Sequence[np.ndarray]
Faces = Path | str | FaceLocator  # a landmarks file (`hp_trt.faces.landmarks_file`), or any locator


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One animated frame."""

    index: int  # of the driving frame, from 0
    time_s: Fraction | None  # of the driving frame on its file's clock; None when the driving frames are arrays
    crop: np.ndarray  # (S, S, 3) uint8 RGB: the square that the networks made; yours to keep
    _paste: PasteBack = field(repr=False)

    def full(self) -> np.ndarray:
        """The whole portrait with this frame in its place: (H, W, 3) uint8 RGB, made on each call."""
        return self._paste(self.crop)


@dataclass(frozen=True, kw_only=True)
class Animation:
    """What `animate` did."""

    out: Path
    crop_out: Path | None
    frames: int
    rate: Fraction  # frames per second of the driving video
    notes: tuple[str, ...]
    stages: Stages = field(repr=False)  # every span of the run, for a timeline


@dataclass(frozen=True, kw_only=True)
class _Made:
    """Frames to come, and what to note once they have."""

    frames: Iterator[Frame]
    notes: Callable[[], Sequence[str]]


class Runtime:
    """Graphs of one bundle, opened on one device. A context manager; not for use from two threads at once.

    Raises BundleError for a bundle that is not what its manifest says, EngineMismatch when it cannot run here,
    InputError for a configuration that cannot be. `on_event` hears of every piece of work (`runtime.stages.Event`).
    `settle_stages`: wait for the device at the end of each piece, so that its time is its own, at the cost of overlap.
    `backend`: what runs the graphs, in place of the configuration's; the runtime closes it.
    """

    def __init__(
        self,
        bundle: Path | str | Bundle,
        config: RuntimeConfig | None = None,
        *,
        on_event: Callable[[Event], None] | None = None,
        settle_stages: bool = False,
        backend: Backend | None = None,
    ) -> None:
        self.config = config or RuntimeConfig()
        self._on_event, self._settle_stages = on_event, settle_stages
        self._locator = open_locator(self.config.locator, self.config.locator_file)
        embed = open_arcface(self.config.arcface) if self.config.arcface else no_identity
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle, family=self.config.family)
        self.backend: Backend = backend or open_backend(self.config)
        with ExitStack() as opened:
            opened.callback(self.backend.close)
            self._graphs = OpenGraphs(self.bundle, self.config, self.backend)
            opened.callback(self._graphs.close)
            self._graphs.of(self.profile)
            self._opened = opened.pop_all()
        self._portraits = PortraitEncoder(self.backend, self.sessions, self.bundle.manifest.geometry, embed)

    @property
    def profile(self) -> Profile:
        """What a clip is made with, and a live session where nothing else is said."""
        return profile_of(self.config)

    def sampling(self, **overrides: Any) -> Sampling:
        """The bundle's sampling with the profile's shortcuts and overrides by name (`steps=10`); None is no override.

        Raises InputError for a name that does not exist, or numbers that cannot be.
        """
        return self.sampling_of(self.profile, **overrides)

    def sampling_of(self, profile: Profile, **overrides: Any) -> Sampling:
        """The same with another profile."""
        return Sampling.from_manifest(
            {**self.bundle.manifest.sampling, **profile.sampling},
            **overrides,
        )

    def sessions_of(self, profile: Profile) -> dict[str, Session]:
        """The sessions that `profile` needs, opened where they were not: by graph, and by what the loop calls them.

        Raises BundleError when the bundle lacks a graph, EngineMismatch when one cannot run here, InputError for
        products that the family has not.
        """
        return self._graphs.of(profile)

    @property
    def sessions(self) -> dict[str, Session]:
        """Those that are open, by graph, without those that the stages of a live session have to themselves."""
        return self._graphs.sessions

    def notes_of(self, profile: Profile) -> tuple[str, ...]:
        """What a user should know of this bundle in this profile, a line each."""
        fingerprints = self.bundle.manifest.weights["fingerprint"]
        if profile.denoiser == "distilled" and "live_unet" not in fingerprints:
            return ("this bundle's live denoiser is not distilled: one step of it may blur; try a profile of more",)
        return ()

    def live_profile(self, profile: Profile | str | None = None) -> Profile:
        """A profile of mode live: the given one, by its name too, or the runtime's. Raises InputError."""
        found = self.profile if profile is None else profile
        found = found if isinstance(found, Profile) else find_profile(found)
        if found.mode != "live":
            raise InputError(
                f"the profile {found.name} is for whole clips, live needs one whose windows are causal; "
                'take live, or one of your own with mode = "live"'
            )
        return found

    def live(
        self,
        portrait: Portrait | Picture,
        *,
        profile: Profile | str | None = None,
        policy: Policy = "block",
        queue_in: int | None = None,
        queue_out: int | None = None,
        landmarks: Faces | None = None,
        seed: int | None = None,
        stages: Stages | None = None,
    ) -> LiveSession:
        """Animate frames as they come: `push` driving frames, `pull` animated ones (`hp_trt.live.session`).

        `policy`: what happens to frames that are late, those that wait to be animated and those that wait for `pull`:
        "block", "drop-oldest", "latest" (of the driving frames; of finished ones the oldest go). `queue_in`,
        `queue_out`: how many may wait [a window, two]. `profile`: one of mode live [the runtime's, else "live"].
        `landmarks`: who says where the driving faces are. While the session is open the runtime is its own. Raises
        InputError, FaceNotFound, BundleError.
        """
        from hp_trt.live.session import LiveSession

        chosen = self.live_profile(profile or (None if self.profile.mode == "live" else "live"))
        locator = open_locator(self.config.locator, self.config.locator_file) if landmarks is None else None
        return LiveSession(
            self,
            portrait if isinstance(portrait, Portrait) else self.portrait(portrait),
            chosen,
            locator=locator or self._locator_of(landmarks),
            policy=policy,
            queue_in=queue_in,
            queue_out=queue_out,
            sampling={"seed": seed},
            stages=stages or Stages(self._on_event, most_spans=_LIVE_SPANS),
        )

    def portrait(self, image: Picture, *, landmarks: Faces | None = None, stages: Stages | None = None) -> Portrait:
        """Find the face in `image` (a file, or (H, W, 3) uint8 RGB) and encode it.

        `landmarks`: who says where the face is, instead of the configured locator.
        Raises InputError for what is no picture, FaceNotFound.
        """
        return self._portraits.portrait(image, self._locator_of(landmarks), stages or self._stages())

    def animate(
        self,
        portrait: Portrait | Picture,
        driving: Path | str,
        out: Path | str,
        *,
        crop_out: Path | str | None = None,
        landmarks: Faces | None = None,
        portrait_landmarks: Faces | None = None,
        **sampling: Any,
    ) -> Animation:
        """Write `out`, the whole portrait moving, and `crop_out`, the square around the face, if asked for.

        Both have the driving video's frames, times and sound. `landmarks`: who says where the driving faces are,
        instead of the configured locator, `portrait_landmarks` the same for the portrait. Other keywords override the
        bundle's sampling. Nothing is written under a final name before the clip is complete. Raises InputError,
        FaceNotFound, OutputError.
        """
        from hp_trt.media.video_writer import VideoWriter, check_target

        wanted = self.sampling(**sampling)
        stages = self._stages()
        reader = VideoReader(driving)
        if crop_out is not None and Path(crop_out).resolve() == Path(out).resolve():
            raise InputError(f"{out} and the crop would be one file; give the crop another name")
        targets = [Path(target) for target in (out, crop_out) if target is not None]
        for target in targets:  # before the portrait is encoded
            check_target(target, reader.info)
        if isinstance(portrait, Portrait):
            who = portrait
        else:
            who = self.portrait(portrait, landmarks=portrait_landmarks, stages=stages)
        for target in targets:
            if who.path is not None and _same_file(target, who.path):
                raise InputError(f"{target} is the portrait itself; give the result another name")
        height, width = who.image.shape[:2]
        with ExitStack() as files:
            # Opened before the long work: a folder that cannot be written is told now.
            full = files.enter_context(VideoWriter(out, width=width, height=height, driving=reader.info))
            crop = None
            if crop_out is not None:
                side = self.bundle.manifest.geometry["crop_px"]
                crop = files.enter_context(VideoWriter(crop_out, width=side, height=side, driving=reader.info))
            made = self._frames(who, DrivingFrames(reader), self._locator_of(landmarks), wanted, sampling, stages)
            for frame in made.frames:
                with stages.unit("write"):
                    full.write(frame.full(), frame.time_s)
                    if crop is not None:
                        crop.write(frame.crop, frame.time_s)
            with stages.unit("finish"):  # the encoder holds frames back until then, and the sound comes last
                full.finish()
                if crop is not None:
                    crop.finish()
                files.close()  # both are complete: now they get their names
        return Animation(
            out=Path(out),
            crop_out=None if crop_out is None else Path(crop_out),
            frames=full.frames,
            rate=reader.info.rate,
            notes=(*self.notes_of(self.profile), *who.notes, *made.notes(), *self.backend.notes),
            stages=stages,
        )

    def frames(
        self,
        portrait: Portrait | Picture,
        driving: Driving,
        *,
        landmarks: Faces | None = None,
        **sampling: Any,
    ) -> Iterator[Frame]:
        """The animated frames as arrays, in order. `driving` is a file, or a sequence of (H, W, 3) uint8 RGB arrays.

        `landmarks`: who says where the driving faces are, instead of the configured locator.

        With a profile of mode clip all of the driving video is read and denoised before the first frame comes; from
        then on they come chunk by chunk, and memory grows with the clip by its tokens and latents alone. With one of
        mode live frames come window by window while the video is read, and memory does not grow.
        """
        wanted, stages = self.sampling(**sampling), self._stages()
        images = DrivingFrames(driving)
        who = portrait if isinstance(portrait, Portrait) else self.portrait(portrait, stages=stages)
        yield from self._frames(who, images, self._locator_of(landmarks), wanted, sampling, stages).frames

    def close(self) -> None:
        """Let go of the graphs and of the device. Twice is fine."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stages(self) -> Stages:
        return Stages(self._on_event, settle=self.backend.synchronize if self._settle_stages else None)

    def _locator_of(self, landmarks: Faces | None) -> FaceLocator:
        if landmarks is None:
            return self._locator
        return open_locator("landmarks", landmarks) if isinstance(landmarks, Path | str) else landmarks

    def _frames(
        self,
        portrait: Portrait,
        driving: DrivingFrames,
        locator: FaceLocator,
        sampling: Sampling,
        overrides: Mapping[str, Any],
        stages: Stages,
    ) -> _Made:
        """A clip's frames by the runtime's profile, as they come, and what there is to note when they have."""
        if self.profile.mode == "live":
            return self._streamed(portrait, driving, locator, overrides, stages)
        geometry = self.bundle.manifest.geometry
        motion = read_motion(
            self.backend, self.sessions["motion"], driving, locator,
            geometry=geometry, window=sampling.window, max_frames=self.config.max_frames, stages=stages,
        )  # fmt: skip

        def frames() -> Iterator[Frame]:
            made = clip_frames(
                self.backend,
                self.sessions_of(self.profile),
                motion_tokens=motion.bank.finish(sampling.pad_frames),
                identity=self._portraits.identity(portrait, sampling, stages),
                sampling=sampling,
                side_px=geometry["crop_px"],
                stages=stages,
            )
            for index, crop in made:
                yield Frame(index=index, time_s=motion.times[index], crop=crop, _paste=portrait.paste)

        return _Made(frames=frames(), notes=lambda: motion.notes)

    def _streamed(
        self,
        portrait: Portrait,
        driving: DrivingFrames,
        locator: FaceLocator,
        overrides: Mapping[str, Any],
        stages: Stages,
    ) -> _Made:
        """The same through a live session that drops nothing."""
        from hp_trt.live.live_clip import whole_clip
        from hp_trt.live.session import LiveSession

        session = LiveSession(
            self, portrait, self.profile, locator=locator, policy="block", queue_in=None, queue_out=None,
            sampling=overrides, stages=stages,
        )  # fmt: skip

        def frames() -> Iterator[Frame]:
            with session:
                for made, time_s in whole_clip(session, driving.timed(stages)):
                    yield Frame(index=made.index, time_s=time_s, crop=made.crop, _paste=portrait.paste)

        return _Made(frames=frames(), notes=lambda: [*driving.notes, *session.stats.notes])


def _same_file(one: Path | str, other: Path | str) -> bool:
    """Whether both names lead to one existing file, through links too."""
    try:
        return Path(one).samefile(other)
    except OSError:  # one of them does not exist
        return False
