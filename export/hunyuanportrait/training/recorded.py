"""Clips of people who were filmed, in place of drawn ones: what the runtime would see of a folder of videos.

Every clip is a piece of one video that begins with a face. Its pictures are cut by the box that `portrait_crop` would
cut of its first frame, and the same person drives it, as `DrivingCrops` sees them. A face that is lost for more than a
quarter of a clip makes no clip; cut videos at their scene changes beforehand, for nothing here looks for them.

Clips of the last videos are held out, to measure with: of no person is a part learnt and a part measured, where there
are two videos or more. What was asked and found stands beside the clips, so that a killed run goes on, and one that
asks for something else is told.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from engines.fields import Field, read_json
from engines.foreign import foreign
from engines.part_file import write_whole
from engines.safe_output import refusing
from export.hunyuanportrait.training.clips import Arrays, in_bytes, save_arrays
from hp_trt.faces.align import aligned_face, arcface_input
from hp_trt.faces.arcface import ID_DIM, Embed, open_arcface
from hp_trt.faces.face import Face, FaceLocator, largest_face
from hp_trt.faces.found import find_faces
from hp_trt.faces.locators import LocatorKind, open_locator
from hp_trt.hunyuanportrait.driving import DrivingCrops, first_face
from hp_trt.hunyuanportrait.geometry import motion_ids
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.measure.evaluation.pairs import Crop
from hp_trt.media.video import VideoReader
from hp_trt.sample import landmarks_beside

VIDEOS = (".mp4", ".mov", ".mkv", ".webm")
INDEX = "recorded.json"  # beside the clips: what was asked, what each video gave, who is held out
_LOST = 0.25  # of a clip's frames
_CHUNK = 25  # frames that intensity ids are made of, as released
_NAMED = 5  # videos of a message


@dataclass(frozen=True, kw_only=True)
class RecordedClip(Arrays):
    """One clip of N frames. Arrays are maps of files: read only."""

    pictures: np.ndarray  # (N, P, P, 3) uint8: the portrait's crop, the target
    faces: np.ndarray  # (N, M, M, 3) uint8: what the expression network sees
    poses: np.ndarray  # (N, M, M, 3) uint8: what the head pose network sees
    points: np.ndarray  # (N, 5, 2) float32: where the landmarks are in `pictures`, 0 in the middle of the first pixel
    ids: np.ndarray  # (2,) int64: head and expression intensity
    identities: np.ndarray  # (N, 512) float32: each frame's, as a portrait; zeros without ArcFace


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Where videos are, and how faces are found in them.

    A video NAME.mp4 with a NAME.landmarks.json beside it needs no finder.
    """

    videos: Path  # a folder
    locator: LocatorKind = "haar"
    locator_file: Path | None = None
    arcface: Path | None = None  # arcface.onnx; None: no identities

    def files(self) -> list[Path]:
        """The videos, by name. Raises InputError where there is none."""
        if not self.videos.is_dir():
            raise InputError(f"{self.videos} is not a folder; --videos needs one with {', '.join(VIDEOS)} in it")
        found = sorted(path for path in self.videos.iterdir() if path.suffix.lower() in VIDEOS)
        if not found:
            raise InputError(
                f"{self.videos} has no videos; --videos needs a folder of {', '.join(VIDEOS)}, one talking face each"
            )
        return found


@dataclass(frozen=True, kw_only=True)
class RecordedClips:
    """The clips of a recording in a folder: those to learn from, or those that are `held`.

    As `clips.Clips`, so that every phase reads either.
    """

    folder: Path
    recording: Recording
    count: int  # most clips to learn from
    held_out: int  # most clips to measure with, beside them
    frames: int  # of a clip
    px: int
    motion_px: int
    held: bool = False

    def ready(self) -> list[int]:
        """The clips, by number; none before all videos have been looked through."""
        found = self._found()
        return list(found["held_out" if self.held else "training"]) if found else []

    def load(self, number: int) -> RecordedClip:
        return RecordedClip.load(self.path(number))

    def path(self, number: int) -> Path:
        return self.folder / f"recorded-{number:05d}"

    def draw_missing(self, workers: int = 1) -> Iterator[int]:
        """Cut what is missing, whatever `workers`; yields how many clips are there after each, held ones too.

        Raises InputError where no video gives a clip, or the folder has clips of another recording.
        """
        if (found := self._found()) and found["training"]:
            yield self.count
            return
        if self.folder.is_dir() and any(
            path.is_dir() and not path.name.startswith((".", "recorded-")) for path in self.folder.iterdir()
        ):
            raise InputError(f"{self.folder.parent} is a run on drawn clips; give the run with --videos another folder")
        videos = self.recording.files()
        gives: dict[str, int] = found["gives"] if found else {}
        why: dict[str, str] = found["why"] if found else {}
        locator = open_locator(self.recording.locator, self.recording.locator_file)
        embed = open_arcface(self.recording.arcface) if self.recording.arcface else None
        done = sum(gives.values())
        yield self._told(done)
        for place, video in enumerate(videos):
            if video.name in gives:
                continue
            most = math.ceil((self.count + self.held_out - done) / (len(videos) - place))
            gave = 0
            reasons: list[str] = []
            for arrays in self._cut(video, locator, embed, most, reasons):
                if not self.path(done).is_dir():
                    save_arrays(self.path(done), arrays)
                gave, done = gave + 1, done + 1
                yield self._told(done)
            gives[video.name] = gave
            if not gave and most:
                why[video.name] = reasons[-1] if reasons else "no face"
            self._write({"gives": gives, "why": why, "training": [], "held_out": []})
        training, held = split_by_video(list(gives.values()), self.held_out)
        if not training:
            (self.folder / INDEX).unlink()  # other videos may come into the folder
            raise InputError(
                f"{len(videos)} videos in {self.recording.videos} give {done} clips of {self.frames} frames"
                f"{_reasons(why)}; needed are two at least, one to learn from and one to measure with: add videos of "
                "one frontal face each, choose a better --locator, or lower --frames"
            )
        self._write({"gives": gives, "why": why, "training": training, "held_out": held})
        yield self.count

    def note(self) -> str:
        """What a user should know, "" for nothing: the videos that gave no clip."""
        found = self._found()
        if not found or not found["why"]:
            return ""
        return f"{len(found['why'])} of {len(found['gives'])} videos give no clip{_reasons(found['why'])}"

    def _told(self, done: int) -> int:
        return min(done, self.count)

    def _cut(
        self, video: Path, locator: FaceLocator, embed: Embed | None, most: int, reasons: list[str]
    ) -> Iterator[dict[str, np.ndarray]]:
        """At most so many clips, one behind the other; why there is none goes into `reasons`."""
        if not most:
            return
        try:
            reader = VideoReader(video)
        except InputError as error:
            reasons.append(str(error))
            return
        beside = landmarks_beside(video)
        if beside.is_file():
            locator = open_locator("landmarks", beside)
        images: list[np.ndarray] = []
        for number, image in enumerate(reader):
            if not images and not find_faces(locator, image, number):
                continue
            images.append(image)
            if len(images) < self.frames:
                continue
            here = _From(locator, number + 1 - self.frames)
            try:
                yield clip_arrays(images, here, px=self.px, motion_px=self.motion_px, embed=embed)
                most -= 1
            except InputError as error:
                reasons.append(str(error))
            images = []
            if not most:
                return
        if images:
            reasons.append(f"a face for {len(images)} frames, needed are {self.frames}")

    def _asked(self) -> dict[str, Any]:
        facts = {k: None if v is None else str(v) for k, v in asdict(self.recording).items()}
        sizes = {path.name: path.stat().st_size for path in self.recording.files()}
        return {
            **facts,
            "videos": sizes,
            "clips": self.count,
            "held_out": self.held_out,
            "frames": self.frames,
            "px": self.px,
            "motion_px": self.motion_px,
        }

    def _found(self) -> dict[str, Any] | None:
        """What was found so far, None before the first video. Raises InputError where something else was asked."""
        path = self.folder / INDEX
        if not path.is_file():
            return None
        with foreign(f"{path} is damaged", "delete it, and the videos are looked through again"):
            found = _index(read_json(path, most_bytes=64 << 20))
        asked = self._asked()
        if other := [name for name, value in asked.items() if found["asked"].get(name) != value]:
            raise InputError(
                f"{self.folder.parent} is a run on clips that were cut with other {', '.join(other)}; give what it was "
                "given then, or give the run another folder"
            )
        return found

    def _write(self, found: dict[str, Any]) -> None:
        with refusing(self.folder / INDEX):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / INDEX, json.dumps({"asked": self._asked(), **found}, indent=1).encode())


def _index(field: Field) -> dict[str, Any]:
    """What `RecordedClips._write` wrote. ValueError."""
    most = 10_000_000
    return {
        "asked": field["asked"].mapping(),
        "gives": {video: clips.whole(0, most) for video, clips in field["gives"].entries(most=most)},
        "why": {video: reason.text(most=10_000) for video, reason in field["why"].entries(most=most)},
        "training": [number.whole(0, most) for number in field["training"].listed(most=most)],
        "held_out": [number.whole(0, most) for number in field["held_out"].listed(most=most)],
    }


def clip_arrays(
    images: Sequence[np.ndarray], locator: FaceLocator, *, px: int, motion_px: int, embed: Embed | None = None
) -> dict[str, np.ndarray]:
    """The arrays of `RecordedClip`, by name, of frames (H, W, 3) uint8 RGB of which the first has a face.

    `locator` counts them from 0. Raises InputError for a face that is too small, or lost for too long.
    """
    portrait = portrait_crop(images[0], locator, crop_px=px, what="its first frame")
    crop = Crop(box=portrait.box, px=px)
    driving = DrivingCrops(locator, first_face(images[:1], locator), crop_px=px, size=motion_px)
    crops = list(driving.crops(images))
    seen = np.stack([one.landmarks for one in crops])
    points = crop.points(seen, px)
    middle = points.mean(axis=1)
    outside = int(((middle < 0) | (middle >= px)).any(axis=1).sum())
    if driving.held + outside > _LOST * len(images):
        raise InputError(f"the face is lost in {driving.held + outside} of {len(images)} frames")
    pictures = np.stack([crop.cut(image) for image in images])
    identities = np.zeros((len(images), ID_DIM), np.float32)
    if embed is not None:
        identities[0] = embed(portrait.arcface)[0]
        for i in range(1, len(images)):
            identities[i] = embed(_upright(pictures[i], points[i], locator))[0]
    return {
        "pictures": pictures,
        "faces": np.stack([in_bytes(one.face_image) for one in crops]),
        "poses": np.stack([in_bytes(one.pose_image) for one in crops]),
        "points": points.astype(np.float32),
        "ids": np.array(motion_ids(seen[:_CHUNK]), np.int64),
        "identities": identities,
    }


def _upright(picture: np.ndarray, points: np.ndarray, locator: FaceLocator) -> np.ndarray:
    """ArcFace's input of a crop, as `portrait_crop` makes it: the face is looked for again in the crop."""
    again = find_faces(locator, picture) if locator.reads_pixels else []
    return arcface_input(aligned_face(picture, largest_face(again).landmarks if again else points))


class _From:
    """A video's face locator, asked about a piece that begins at frame `first`."""

    def __init__(self, locator: FaceLocator, first: int) -> None:
        self._locator, self._first = locator, first
        self.name, self.reads_pixels, self.steadiness = locator.name, locator.reads_pixels, locator.steadiness

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        return self._locator.locate(image, self._first + frame)


def split_by_video(gives: Sequence[int], held_out: int) -> tuple[list[int], list[int]]:
    """Clips to learn from and clips held out, by number, of videos that gave so many each, in this order.

    The last ones are held out, at most half. No video is in both, unless there is only one that gave clips.
    """
    video = [place for place, gave in enumerate(gives) for _ in range(gave)]
    held = list(range(len(video)))[len(video) - min(held_out, len(video) // 2) :]
    apart = {video[number] for number in held}
    training = [number for number in range(len(video)) if video[number] not in apart]
    if held and not training:
        training = list(range(held[0]))
    return (training, held) if held else ([], [])


def _reasons(why: dict[str, str]) -> str:
    if not why:
        return ""
    named = [f"{name}: {reason}" for name, reason in list(why.items())[:_NAMED]]
    return f" ({'; '.join(named)}{'; ...' if len(why) > _NAMED else ''})"
