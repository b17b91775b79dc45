"""Pairs from a folder of the user's: a subfolder each.

    DIR/anna/driving.mp4              (.mp4, .mov, .mkv, .webm)
    DIR/anna/portrait.png             (.png, .jpg, .jpeg, .webp), for cross
    DIR/anna/driving.landmarks.json   where the faces are (`hp_trt.faces.landmarks_file`), if no detector should look
    DIR/anna/portrait.landmarks.json

`hp-trt sample --out DIR/anna` writes such a pair; other files may lie beside.

self: the driving video's first frame is the portrait, and what should come out is the video's own crop. cross: what
should come out nobody knows. Clips are of one length and one size, or they could not be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np

from engines.errors import InputError
from hp_trt.faces.face import Face, FaceLocator, largest_face
from hp_trt.faces.locators import open_locator
from hp_trt.hunyuanportrait.geometry import corners, portrait_box
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.measure.evaluation.config import LEAST_FRAMES, Protocol
from hp_trt.measure.evaluation.pairs import Crop, KnownFaces, Pair, require_inside
from hp_trt.media.images import load_image
from hp_trt.media.video import VideoReader

_VIDEOS = (".mp4", ".mov", ".mkv", ".webm")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")


class FolderPairs:
    """The pairs of `folder`, all looked through when made. Raises InputError, FaceNotFound."""

    def __init__(self, protocol: Protocol, folder: Path, frames: int | None, locator: FaceLocator) -> None:
        self.protocol, self.folder, self._locator = protocol, folder, locator
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder; needed is one with a subfolder for each pair")
        homes = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        self._pairs = [_Files.of(home, protocol) for home in homes]
        if not self._pairs:
            raise InputError(
                f"{folder} has no pairs; needed are subfolders with driving.mp4"
                + (" and portrait.png" if protocol == "cross" else "")
            )
        self.names: Sequence[str] = [home.name for home in homes]
        self._faces = [_faces_of(files, frames, locator) for files in self._pairs]
        self.frames = len(self._faces[0].frames)
        for files, faces in zip(self._pairs, self._faces, strict=True):
            self._check_alike(files, len(faces.frames))

    def facts(self) -> dict[str, object]:
        return {"kind": "pairs", "folder": str(self.folder)}

    def pair(self, index: int, crop_px: int) -> Pair:
        files, faces = self._pairs[index], self._faces[index]
        driving = FirstFrames(files.reader, self.frames)
        first = next(iter(driving))
        height, width = first.shape[:2]
        crop = Crop(box=portrait_box(corners(faces.frames[0][0].box), height=height, width=width), px=crop_px)
        driver = [crop.cut(frame) for frame in driving]
        portrait_faces: FaceLocator | None
        if self.protocol == "self":
            portrait, portrait_faces, still = first, KnownFaces(name=faces.name, frames=faces.frames[:1]), driver[0]
        else:
            assert files.portrait is not None
            portrait = load_image(files.portrait)
            known = files.landmarks("portrait")
            portrait_faces = None if known is None else open_locator("landmarks", known)
            still = portrait_crop(
                portrait, portrait_faces or self._locator, crop_px=crop_px, what=str(files.portrait)
            ).crop
        return Pair(
            name=self.names[index],
            portrait=portrait,
            portrait_faces=portrait_faces,
            driving=driving,
            driving_faces=faces,
            still=still,
            driver=driver,
            truth=driver if self.protocol == "self" else None,
            drawn=None,
        )

    def _check_alike(self, files: _Files, frames: int) -> None:
        first, found = self._pairs[0].reader.info, files.reader.info
        if (found.width, found.height) != (first.width, first.height):
            raise InputError(
                f"{found.path} has frames of {found.width} x {found.height} pixels and {first.path} of {first.width} x "
                f"{first.height}; needed is one size: scale them alike, or evaluate them apart"
            )
        if frames != self.frames:
            raise InputError(
                f"{found.path} has {frames} frames and {first.path} {self.frames}; needed are clips of one length: "
                f"--frames {min(frames, self.frames)} takes as many of each"
            )


class FirstFrames(Sequence[np.ndarray]):
    """The first `count` frames of a video, decoded anew on each walk: none is held."""

    def __init__(self, reader: VideoReader, count: int) -> None:
        self._reader, self._count = reader, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[np.ndarray]:
        return islice(iter(self._reader), self._count)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        return list(self)[index]


@dataclass(frozen=True, kw_only=True)
class _Files:
    """What one subfolder holds."""

    home: Path
    portrait: Path | None
    reader: VideoReader

    @classmethod
    def of(cls, home: Path, protocol: Protocol) -> _Files:
        driving = _one(home, "driving", _VIDEOS)
        portrait = _one(home, "portrait", _PICTURES)
        for name, path in (("driving.mp4", driving), ("portrait.png", portrait)):
            if path is None and (protocol == "cross" or name == "driving.mp4"):
                raise InputError(f"{home} has no {name}; every subfolder of pairs needs one: add it, or move it away")
        assert driving is not None
        return cls(home=home, portrait=portrait, reader=VideoReader(driving))

    def landmarks(self, of: str) -> Path | None:
        path = self.home / f"{of}.landmarks.json"
        return path if path.exists() else None


def _one(home: Path, name: str, endings: tuple[str, ...]) -> Path | None:
    found = sorted(path for path in home.iterdir() if path.stem == name and path.suffix.lower() in endings)
    if len(found) > 1:
        raise InputError(f"{home} has {' and '.join(path.name for path in found)}; needed is one of them")
    return found[0] if found else None


def _faces_of(files: _Files, frames: int | None, locator: FaceLocator) -> KnownFaces:
    """The driving clip's face in every frame, looked for once. Raises InputError where it is not to be seen."""
    known = files.landmarks("driving")
    locator = locator if known is None else open_locator("landmarks", known)
    path, info = files.reader.info.path, files.reader.info
    found: list[list[Face]] = []
    for frame, image in enumerate(islice(iter(files.reader), frames)):
        faces = locator.locate(image, frame)
        if not faces:
            raise InputError(
                f"{path}: no face at frame {frame}, looked for with {locator.name}; needed is a clip whose face "
                f"stays in the picture: cut it, or give a better --locator or {files.home / 'driving.landmarks.json'}"
            )
        face = largest_face(faces)
        middle_x, middle_y = face.landmarks.mean(axis=0)
        require_inside(
            (middle_x, middle_y, 0, 0), width=info.width, height=info.height, clip=str(path), frame=frame
        )  # its box may well cross the edge; half a face is none
        found.append([face])
    if len(found) < (frames or LEAST_FRAMES):
        needed = f"--frames asks for {frames}" if frames else f"needed are at least {LEAST_FRAMES} to see motion"
        raise InputError(f"{path} has {len(found)} frame{'s' * (len(found) != 1)} and {needed}; use a longer clip")
    return KnownFaces(name=locator.name, frames=found, steadiness=locator.steadiness)
