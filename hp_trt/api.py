"""Runtime: open a bundle once, animate many clips.

A clip goes through in one pass and little memory: the driving video is read, cropped and encoded in groups of a window,
and only its motion tokens stay; latents of the whole clip are denoised together, as released; frames are decoded,
pasted back and written chunk by chunk.

Source: SPEC 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from engines import families
from engines.backend import Backend, Buffer, Session
from engines.bundle import Bundle
from engines.errors import BundleError, InputError
from engines.gpu import require_gpu
from engines.manifest import build_command, plan_command
from engines.plan_choice import Here, choose_plans
from engines.spec import plain_name
from hp_trt.arcface import no_identity, open_arcface
from hp_trt.config import RuntimeConfig, profile_of
from hp_trt.driving import DrivingCrop, DrivingCrops, first_face
from hp_trt.faces import FaceLocator, open_locator
from hp_trt.geometry import motion_ids
from hp_trt.images import load_image
from hp_trt.paste import PasteBack
from hp_trt.portrait import PortraitCrop, portrait_crop
from hp_trt.profiles import Profile, find_profile
from hp_trt.video import VideoReader
from runtime import noise
from runtime.decode import decode, to_uint8
from runtime.denoise import denoise
from runtime.encode import encode_motion, encode_portrait
from runtime.memory_bank import Identity, MotionBank
from runtime.sampling import Sampling
from runtime.stages import Event, Stages

if TYPE_CHECKING:
    from hp_trt.live.queues import Policy
    from hp_trt.live.session import LiveSession

_LIVE_SPANS = 10_000  # of a session that may never end
Picture = Path | str | np.ndarray
Driving = Path | str | Sequence[np.ndarray]
Faces = Path | str | FaceLocator  # a landmarks file (`hp_trt.landmarks_file`), or any locator


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """A portrait, encoded once, for any number of clips of the Runtime that made it."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    path: Path | None  # where it came from; None: an array
    crop: PortraitCrop
    identity: Identity
    paste: PasteBack
    notes: tuple[str, ...]  # what a user should know, a line each


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


@dataclass
class _Motion:
    """What is kept of a driving video."""

    bank: MotionBank
    times: list[Fraction | None] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


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
        self._embed = open_arcface(self.config.arcface) if self.config.arcface else no_identity
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle, family=self.config.family)
        self.backend: Backend = backend or open_backend(self.config)
        with ExitStack() as opened:
            opened.callback(self.backend.close)
            self.sessions: dict[str, Session] = {}  # by graph; those of live stages have their threads to themselves
            self._beside: dict[str, Session] = {}
            self._opened = opened
            self.sessions_of(self.profile)
            self._opened = opened.pop_all()

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
        if not families.find(self.config.family).computes(profile.quantize):
            raise InputError(
                f"the profile {profile.name} is for {profile.quantize} products, {self.config.family} has none; set "
                'quantize = "none", or use another family'
            )
        live = profile.mode == "live"
        beside = {*profile.roles.values(), "motion"} if live and self.backend.concurrent else set()
        missing = [name for name in profile.graphs if name not in (self._beside if name in beside else self.sessions)]
        for name, (file, weights) in _files(self.bundle, self.config, missing).items():
            threads = live_threads(name, self.config.threads) if name in beside else None
            session = self.backend.load(self.bundle.spec(name), file, weights, threads=threads)
            self._opened.callback(session.close)
            (self._beside if name in beside else self.sessions)[name] = session
        found = {name: (self._beside if name in beside else self.sessions)[name] for name in profile.graphs}
        return found | {role: found[name] for role, name in profile.roles.items()}

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
        what = "the portrait" if isinstance(image, np.ndarray) else str(image)
        stages = stages or self._stages()
        geometry = self.bundle.manifest.geometry
        with stages.unit("portrait_crop"):
            pixels = load_image(image)
            crop = portrait_crop(
                pixels,
                self._locator_of(landmarks),
                crop_px=geometry["crop_px"],
                appearance_px=geometry["appearance_px"],
                what=what,
            )
        return Portrait(
            image=pixels,
            path=None if isinstance(image, np.ndarray) else Path(image),
            crop=crop,
            identity=self._encode(crop, stages),
            paste=PasteBack(pixels, crop.box),
            notes=crop.notes,
        )

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
        from hp_trt.video_writer import VideoWriter, check_target

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
            made = self._frames(who, reader, self._locator_of(landmarks), wanted, sampling, stages)
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
        source = VideoReader(driving) if isinstance(driving, Path | str) else driving
        who = portrait if isinstance(portrait, Portrait) else self.portrait(portrait, stages=stages)
        yield from self._frames(who, source, self._locator_of(landmarks), wanted, sampling, stages).frames

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

    def _encode(self, crop: PortraitCrop, stages: Stages, sampling: Sampling | None = None) -> Identity:
        """With `sampling`, the condition is made from the portrait with that much noise on it."""
        strength = sampling.noise_aug_strength if sampling else 0.0
        side = self.bundle.manifest.geometry["crop_px"]
        return encode_portrait(
            self.backend,
            self.sessions,
            image=crop.reference[None],
            appearance_image=crop.transformed[None],
            id_embedding=self._embed(crop.arcface),
            noise_aug=noise.noise_aug(sampling.seed, side, side) if sampling and strength else None,
            noise_aug_strength=strength,
            stages=stages,
        )

    def _locator_of(self, landmarks: Faces | None) -> FaceLocator:
        if landmarks is None:
            return self._locator
        return open_locator("landmarks", landmarks) if isinstance(landmarks, Path | str) else landmarks

    def _frames(
        self,
        portrait: Portrait,
        source: VideoReader | Sequence[np.ndarray],
        locator: FaceLocator,
        sampling: Sampling,
        overrides: Mapping[str, Any],
        stages: Stages,
    ) -> _Made:
        """A clip's frames by the runtime's profile, as they come, and what there is to note when they have."""
        if self.profile.mode == "live":
            return self._streamed(portrait, source, locator, overrides, stages)
        motion = self._read_motion(source, locator, sampling, stages)
        return _Made(frames=self._generate(portrait, motion, sampling, stages), notes=lambda: motion.notes)

    def _streamed(
        self,
        portrait: Portrait,
        source: VideoReader | Sequence[np.ndarray],
        locator: FaceLocator,
        overrides: Mapping[str, Any],
        stages: Stages,
    ) -> _Made:
        """The same through a live session that drops nothing."""
        from hp_trt.live.session import LiveSession
        from hp_trt.live.whole import whole_clip

        session = LiveSession(
            self, portrait, self.profile, locator=locator, policy="block", queue_in=None, queue_out=None,
            sampling=overrides, stages=stages,
        )  # fmt: skip

        def frames() -> Iterator[Frame]:
            with session:
                for made, time_s in whole_clip(session, _read(source, stages)):
                    yield Frame(index=made.index, time_s=time_s, crop=made.crop, _paste=portrait.paste)

        def notes() -> Sequence[str]:
            return [*(source.notes if isinstance(source, VideoReader) else []), *session.stats.notes]

        return _Made(frames=frames(), notes=notes)

    def _read_motion(
        self, source: VideoReader | Sequence[np.ndarray], locator: FaceLocator, sampling: Sampling, stages: Stages
    ) -> _Motion:
        """One pass over the driving frames, a window's length at a time; keeps their tokens and times."""
        named = str(source.info.path) if isinstance(source, VideoReader) else "the driving frames"
        geometry = self.bundle.manifest.geometry
        with stages.unit("first_face"):
            face = first_face(iter(source), locator, named)
        cropper = DrivingCrops(locator, face, crop_px=geometry["crop_px"], size=geometry["motion_px"])
        motion = _Motion(MotionBank(self.backend))
        total = source.info.frames if isinstance(source, VideoReader) else len(source)
        for stage in ("read", "crop", "motion"):
            stages.begin(stage, total=total)
        images = _read(source, stages)
        while True:
            group: list[DrivingCrop] = []
            for image, time_s in islice(images, sampling.window):
                with stages.unit("crop"):
                    group.append(cropper.crop(image))
                motion.times.append(time_s)
            if not group:
                break
            if len(motion.times) > self.config.max_frames:
                raise InputError(
                    f"{named} has more than {self.config.max_frames} frames; cut it shorter, or raise max_frames"
                )
            with stages.unit("motion", len(group)):
                head_id, exp_id = motion_ids(np.stack([crop.landmarks for crop in group]))
                tokens = encode_motion(
                    self.backend,
                    self.sessions["motion"],
                    face_images=np.stack([crop.face_image for crop in group]),
                    pose_images=np.stack([crop.pose_image for crop in group]),
                    head_id=head_id,
                    exp_id=exp_id,
                    first_frame=len(motion.bank),
                    guard=motion.bank.guard,
                )
                motion.bank.append(tokens)
        for stage in ("read", "crop", "motion"):
            stages.end(stage)
        motion.notes = [*(source.notes if isinstance(source, VideoReader) else []), *cropper.notes()]
        return motion

    def _generate(self, portrait: Portrait, motion: _Motion, sampling: Sampling, stages: Stages) -> Iterator[Frame]:
        tokens: Buffer = motion.bank.finish(sampling.pad_frames)
        identity = portrait.identity
        if sampling.noise_aug_strength:
            identity = self._encode(portrait.crop, stages, sampling)
        side = self.bundle.manifest.geometry["crop_px"]
        sessions = self.sessions_of(self.profile)
        latents = denoise(
            self.backend,
            sessions,
            identity=identity,
            motion_tokens=tokens,
            noise=noise.initial_noise(sampling.seed, (tokens.shape[0], *identity.start_latents.shape[1:]), side, side),
            sampling=sampling,
            stages=stages,
        )
        decoded = decode(
            self.backend,
            sessions["decoder"],
            latents,
            pad_frames=sampling.pad_frames,
            chunk=sampling.decode_chunk,
            stages=stages,
        )
        for index, frame in decoded:
            yield Frame(index=index, time_s=motion.times[index], crop=to_uint8(frame), _paste=portrait.paste)


def _read(source: VideoReader | Sequence[np.ndarray], stages: Stages) -> Iterator[tuple[np.ndarray, Fraction | None]]:
    images = _timed(source)
    while True:
        try:
            with stages.unit("read"):
                image = next(images)
        except StopIteration:
            return
        yield image


def _timed(source: VideoReader | Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, Fraction | None]]:
    if isinstance(source, VideoReader):
        return ((frame.image, frame.time_s) for frame in source.timed())
    return ((image, None) for image in source)


def _same_file(one: Path | str, other: Path | str) -> bool:
    """Whether both names lead to one existing file, through links too."""
    try:
        return Path(one).samefile(other)
    except OSError:  # one of them does not exist
        return False


def open_backend(config: RuntimeConfig) -> Backend:
    """What runs the graphs. Raises EngineMismatch when this machine cannot."""
    if families.find(config.family).has_plans:
        from engines.trt_backend import open_trt_backend

        return open_trt_backend(
            config.family,
            device_id=config.device_id,
            weight_budget_bytes=config.weight_budget_bytes,
            overlap_decode=config.overlap_decode,
        )
    from engines.onnx_backend import OnnxBackend

    return OnnxBackend(provider=config.provider, threads=config.threads, device_id=config.device_id)


def live_threads(graph: str, threads: int | None) -> int:
    """How many of the CPU's threads a graph has that runs beside others: half of them denoise."""
    from engines.onnx_backend import available_cores

    whole = threads or available_cores()
    return max(1, whole // 2 if "denoiser" in graph else whole // 4)


def _option_of(graph: str) -> str:
    """What makes a build add a graph that not every bundle has."""
    if kind := plain_name(graph)[1]:
        return f"--quantize {kind}"
    return "--reuse" if graph in ("denoiser_inner", "denoiser_outer") else "--live"


def _files(bundle: Bundle, config: RuntimeConfig, names: Sequence[str]) -> dict[str, tuple[Path, Path | None]]:
    """By graph: the file to open, and the one that holds its weights where that is another."""
    for name in names:
        if name not in bundle:
            option = _option_of(name)
            raise BundleError(
                f"{bundle.path} has no graph {name}, which this profile needs; build it: "
                + f"{build_command(bundle.path, bundle.manifest.to_json())} {option}"
            )
    family = families.find(config.family)
    if not family.has_plans or not names:
        return {name: (bundle.model_path(name), None) for name in names}
    here = Here(family=family.name, version=families.load(family).__version__, gpu=require_gpu(config.device_id))
    chosen = choose_plans(bundle, here, names)
    options = chosen.target.options
    if config.weight_budget_bytes is not None and not options.weight_streaming:
        streaming = replace(chosen.target, options=replace(options, weight_streaming=True))
        raise InputError(
            "a weight budget is for plans built with --weight-streaming, those in "
            f"{bundle.path / chosen.target.folder} were not; leave it out, or build: "
            + plan_command(bundle.path, family.name, streaming)
        )
    return {
        name: (bundle.path / chosen.plans[name].main, bundle.model_path(name) if options.strip else None)
        for name in names
    }
