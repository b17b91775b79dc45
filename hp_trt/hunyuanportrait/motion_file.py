"""The motion of a driving video, encoded, as a file; and such a file in the place of the video.

Tokens are of one graph, of the frames that were encoded together (a group has one intensity), and of how a profile sees
frames: whole clips, or as they come. A file is taken where all three are what they would be for the video itself, so
that what comes of it is the same, bit for bit. One that is portable has the crops too, a lossless video of what the
motion networks saw: then tokens of another graph, or of other groups, are made again from these. They show the driver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.backend import Backend, Session
from engines.bundle import Bundle
from engines.errors import InputError
from engines.fields import Field
from engines.file_record import hash_file
from engines.foreign import foreign
from hp_trt.encoded.driver import TIMES, DriverFrame, EncodedDriver, said_of
from hp_trt.encoded.encoded_file import LARGEST_BYTES, Encoded
from hp_trt.hunyuanportrait.driving import DrivingCrop
from hp_trt.hunyuanportrait.live_crops import LiveCrops
from hp_trt.hunyuanportrait.read_driving import Ids, Reading, encode_group, ids_of, read_live, read_whole
from hp_trt.media.kept_sound import SOUND, TICKS, keep_sound
from hp_trt.media.lossless import LosslessWriter, lossless_pictures
from hp_trt.media.pixels import unit_planes
from hp_trt.model import Driving
from hp_trt.profiles import Profile
from runtime.hunyuanportrait.memory_bank import MotionBank
from runtime.hunyuanportrait.sampling import Sampling
from runtime.stages import Stages

GRAPH = "motion"
TOKENS, LANDMARKS, ANEW, CROPS = "tokens", "landmarks", "anew", "crops"
_SIZES = ("crop_px", "motion_px")  # of the bundle's geometry: what decides the crops
_LARGEST_GROUP = 1 << 16


@dataclass(frozen=True)
class KeptFrame:
    """A driving frame that was encoded with the bundle's own graph."""

    tokens: np.ndarray  # (m, D)


@dataclass(frozen=True, kw_only=True)
class _Way:
    """How frames are seen: what decides tokens beside the graph and the pictures."""

    mode: str
    cuts: str
    group: tuple[int, int]  # frames that are encoded together: the first time, and then


def _way(profile: Profile, sampling: Sampling) -> _Way:
    windows = profile.windows
    group = (sampling.window,) * 2 if windows is None else (windows.new_frames(0), windows.new_frames(1))
    return _Way(mode=profile.mode, cuts=profile.cuts, group=group)


class _Writer:
    """What is kept, group by group."""

    def __init__(self, backend: Backend, session: Session, motion_px: int, portable: bool) -> None:
        self._backend, self._session = backend, session
        self.tokens: list[np.ndarray] = []
        self.landmarks: list[np.ndarray] = []
        self.anew: list[bool] = []
        self.pictures = LosslessWriter(2 * motion_px, motion_px) if portable else None

    def keep(self, crops: Sequence[DrivingCrop], ids: Ids) -> None:
        made = encode_group(self._backend, self._session, crops, ids, first_frame=len(self.landmarks))
        self.tokens.append(self._backend.download(made))
        self.landmarks += [crop.landmarks for crop in crops]
        self.anew += [crop.anew for crop in crops]
        for crop in crops if self.pictures else ():
            assert self.pictures is not None
            self.pictures.write(np.concatenate([_bytes(crop.face_image), _bytes(crop.pose_image)], axis=1))
            if self.pictures.so_far > LARGEST_BYTES:
                raise InputError(
                    f"the crops of {len(self.landmarks)} frames have {LARGEST_BYTES >> 20} MiB, and more are not kept "
                    "in one file; cut the driving video shorter, or leave --portable out"
                )

    def tensors(self) -> dict[str, np.ndarray]:
        made = {TOKENS: np.concatenate(self.tokens), LANDMARKS: np.stack(self.landmarks).astype(np.float64)}
        if self.pictures is not None:
            made[CROPS] = np.frombuffer(self.pictures.content, np.uint8)
            made[ANEW] = np.array(self.anew, np.uint8)
        return made


def encode_video(
    backend: Backend,
    session: Session,
    bundle: Bundle,
    driving: Driving,
    profile: Profile,
    sampling: Sampling,
    *,
    stages: Stages,
    portable: bool,
) -> Encoded:
    """A driving video's motion as the profile sees it; `session` is of the graph `motion`. `portable`: with the crops.

    Raises InputError for what is no video file, FaceNotFound, NonFiniteError.
    """
    frames, geometry = driving.frames, bundle.manifest.geometry
    if frames.info is None or frames.encoded is not None:
        raise InputError(f"{frames.name} cannot be encoded into a motion file; give a driving video, as a file")
    advice = "give a file that stays as it is until it is encoded"
    with foreign(f"{frames.name} cannot be read", advice):
        source = hash_file(frames.info.path).sha256
    writer, way = _Writer(backend, session, geometry["motion_px"], portable), _way(profile, sampling)
    with writer.pictures or stages.unit("motion", 0):
        reading = _read(driving, profile, sampling, geometry, stages, writer)
    said, times = said_of(frames.info, reading.times)
    sound, of_sound, notes = keep_sound(frames.info.path)
    about = {
        **said,
        "frames": len(reading.times),
        "made_for": {name: geometry[name] for name in _SIZES},
        "seen": {"mode": way.mode, "cuts": way.cuts, "group": list(way.group), "leaps": reading.leaps},
        "source_sha256": source,
        **({"sound": of_sound} if of_sound else {}),
    }
    path = frames.info.path  # where it lies is nobody's concern but the maker's
    told = [note.replace(str(path), path.name) for note in (*reading.notes, *notes)]
    return Encoded(
        kind="motion",
        model=bundle.manifest.model,
        graphs={GRAPH: bundle.manifest.graphs[GRAPH].key},
        about=about,
        tensors={**writer.tensors(), TIMES: times, **sound},
        notes=told,
        frames=len(reading.times),
    )


def _read(
    driving: Driving,
    profile: Profile,
    sampling: Sampling,
    geometry: Mapping[str, int],
    stages: Stages,
    writer: _Writer,
) -> Reading:
    if profile.windows is not None:
        crops = LiveCrops(driving.locator, geometry, profile.cuts)
        return read_live(driving.frames, crops, windows=profile.windows, stages=stages, keep=writer.keep)
    return read_whole(
        driving.frames,
        driving.locator,
        geometry=geometry,
        window=sampling.window,
        max_frames=driving.max_frames,
        stages=stages,
        keep=writer.keep,
        cuts=profile.cuts,
    )


class KeptMotion:
    """A motion file in the place of a driving video, for one bundle and profile. Checked when made: raises InputError.

    The file's own hash is looked at here, so that no number of a file that was altered is used.
    """

    def __init__(self, bundle: Bundle, driver: EncodedDriver, profile: Profile, sampling: Sampling) -> None:
        self._driver, self._file, self._sampling = driver, driver.file, sampling
        file, frames = self._file, driver.frames
        file.check_model(bundle)
        with file.reading():
            seen = file.about["seen"]
            way, leaps = _way_of(seen), seen["leaps"].whole(0, frames)
        file.require(LANDMARKS, "float64", (frames, 5, 2))
        portable = CROPS in file.tensors
        if portable:
            file.require_bytes(CROPS)
            file.require(ANEW, "uint8", (frames,))
        file.require_only(TOKENS, LANDMARKS, TIMES, SOUND, TICKS, *((CROPS, ANEW) if portable else ()))
        needed, geometry = _way(profile, sampling), bundle.manifest.geometry
        self.motion_px = geometry["motion_px"]
        self._check_seen(way, needed, leaps, profile.name)
        other = self._other(bundle, way, needed)
        if other is not None and not portable:
            raise InputError(f"{other}. Encode the original again: hp-trt motion --bundle {bundle.path} ...")
        file.check_made_for(bundle, {name: geometry[name] for name in _SIZES})
        self.as_it_is = other is None  # else tokens are made again of the crops
        tokens = bundle.manifest.graphs[GRAPH].spec.outputs[0]
        if self.as_it_is:
            file.require(TOKENS, tokens.dtype, (frames, *(int(dim) for dim in tokens.dims[1:])))
        file.check_content()
        self._check_landmarks()
        driver.check_sound()
        assert driver.times
        self._crops: Iterator[DrivingCrop] | None = None
        self._next = 0

    def bank(self, backend: Backend, session: Session, *, stages: Stages) -> MotionBank:
        """All of its tokens, for a clip; `session` is of the graph `motion`. Raises InputError, NonFiniteError."""
        frames, window, pad_frames = self._driver.frames, self._sampling.window, self._sampling.pad_frames
        bank = MotionBank(backend, pad_frames=pad_frames, expected=frames)
        stages.begin("motion", total=frames)
        for group in self._groups(window):
            with stages.unit("motion", len(group)):
                if self.as_it_is:
                    bank.append(backend.upload(self._file.array(TOKENS, group.start, len(group))))
                    continue
                crops = [self._crop(index) for index in group]
                ids = ids_of(crops)
                bank.append(encode_group(backend, session, crops, ids, first_frame=group.start, guard=bank.guard))
        stages.end("motion")
        return bank

    def item(self, frame: DriverFrame) -> KeptFrame | DrivingCrop:
        """What a live session sees of a frame. Raises InputError."""
        if self.as_it_is:
            return KeptFrame(self._file.array(TOKENS, frame.index, 1)[0])
        return self._crop(frame.index)

    def _groups(self, window: int) -> Iterator[range]:
        """Of a clip: `window` frames, and fewer before a frame that sets the crop anew."""
        frames = self._driver.frames
        anew = self._file.array(ANEW) if CROPS in self._file.tensors else np.zeros(frames, np.uint8)
        start = 0
        for index in range(1, frames + 1):
            if index == frames or index - start == window or anew[index]:
                yield range(start, index)
                start = index

    def _crop(self, index: int) -> DrivingCrop:
        """They are read in their order, and others are passed over."""
        if self._crops is None or index < self._next:
            self._crops, self._next = self._read_crops(), 0
        crop = None
        while self._next <= index:
            crop, self._next = next(self._crops, None), self._next + 1
        if crop is None:
            raise InputError(f"the crops of {self._file.path} end before its frame {index}; make that file again")
        return crop

    def _read_crops(self) -> Iterator[DrivingCrop]:
        landmarks, anew, side = self._file.array(LANDMARKS), self._file.array(ANEW), self.motion_px
        content, name = self._file.array(CROPS).tobytes(), f"the crops of {self._file.path}"
        pictures = lossless_pictures(content, 2 * side, side, name)
        for picture, points, sets_anew in zip(pictures, landmarks, anew, strict=False):
            yield DrivingCrop(
                face_image=unit_planes(picture[:, :side]),
                pose_image=unit_planes(picture[:, side:]),
                landmarks=points,
                anew=bool(sets_anew),
            )

    def _check_seen(self, way: _Way, needed: _Way, leaps: int, profile: str) -> None:
        """What crops cannot make good: these are other crops."""
        modes = {"clip": "for whole clips", "live": "as a live session sees frames"}
        if way.mode != needed.mode:
            raise InputError(
                f"{self._file.path} was encoded {modes[way.mode]}, the profile {profile} is {modes[needed.mode]}; "
                f"encode the driving video again with --profile {profile}, or take a profile of mode {way.mode}"
            )
        if leaps and way.cuts != needed.cuts:
            raise InputError(
                f'{self._file.path} was encoded with cuts = "{way.cuts}" and has {leaps} of them, the profile '
                f'{profile} has "{needed.cuts}"; encode the driving video again with --profile {profile}'
            )

    def _other(self, bundle: Bundle, way: _Way, needed: _Way) -> str | None:
        """What is other than it would be for the video itself, in words; None: nothing."""
        if (found := self._file.other_graph(bundle, [GRAPH])) is not None:
            return found
        if way.group != needed.group:
            return (
                f"{self._file.path} was encoded {way.group[1]} frames at a time, the first {way.group[0]}, needed are "
                f"{needed.group[1]}, the first {needed.group[0]}: how much a face moves is told of a group"
            )
        return None

    def _check_landmarks(self) -> None:
        with self._file.reading():
            if np.abs(self._file.array(LANDMARKS)).max() > 1e6:
                raise ValueError(f"{LANDMARKS} lie outside of any picture")


def frame_bytes(bundle: Bundle) -> int:
    """How much of a motion file one frame takes, but for its sound and its crops."""
    tokens = bundle.manifest.graphs[GRAPH].spec.outputs[0]
    count = int(np.prod([int(dim) for dim in tokens.dims[1:]]))
    return count * np.dtype(tokens.dtype).itemsize + 5 * 2 * 8 + 8


def _way_of(seen: Field) -> _Way:
    """What a header says. ValueError."""
    first, then = (count.whole(1, _LARGEST_GROUP) for count in seen["group"].listed(least=2, most=2))
    return _Way(mode=seen["mode"].choice(("clip", "live")), cuts=seen["cuts"].text(most=20), group=(first, then))


def _bytes(image: np.ndarray) -> np.ndarray:
    """`unit_planes`, taken back: (3, P, P) float32 in [0, 1] -> (P, P, 3) uint8."""
    return np.rint(image * np.float32(255)).astype(np.uint8).transpose(1, 2, 0)
