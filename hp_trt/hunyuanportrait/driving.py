"""The driving video as the motion networks see it, frame by frame.

`DrivingCrops` walks once through the frames and keeps only the last one that shows the face, so a clip of any length
fits. Two boxes stay as the first face set them: the pose crop, and the size of the face crop; until a scene cut, where
that is asked for.

A frame without the face is seen as the last one with it. Frames before the first face are seen as the first with one,
which `first_seen` looks for beforehand: one frame decoded in most videos.

Source: SPEC 7.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from engines.errors import InputError
from hp_trt.faces.face import Face, FaceLocator, largest_face, no_face
from hp_trt.faces.followed import FollowedFace
from hp_trt.faces.found import find_faces
from hp_trt.hunyuanportrait.crops import face_image, pose_image
from hp_trt.hunyuanportrait.geometry import corners, face_box, portrait_box
from hp_trt.profiles import Cuts

# A face whose centre leaps by more than half its width is another face, or the same after a cut.
_LEAP = 0.5

AFTER_CUT: dict[Cuts, str] = {  # what a note says of a scene cut
    "released": 'the crop stays where the first face set it, as released; a profile with cuts = "anew", such as '
    "balanced, sets it anew",
    "anew": "the crop was set anew",
}


@dataclass(frozen=True, kw_only=True)
class DrivingCrop:
    """One driving frame, ready for the motion networks. Arrays belong to the caller."""

    face_image: np.ndarray  # (3, P, P) float32 in [0, 1]
    pose_image: np.ndarray  # (3, P, P) float32 in [0, 1]
    landmarks: np.ndarray  # (5, 2) float64, pixels of the frame: what the motion ids are made of
    anew: bool = False  # this frame's face has set the crop anew: what moved before it is of another shot


def first_seen(
    frames: Iterable[np.ndarray], locator: FaceLocator, what: str = "the driving video"
) -> tuple[np.ndarray, Face]:
    """The first frame that has a face, (H, W, 3) uint8 RGB, and the largest in it; reads no further.

    Raises FaceNotFound when no frame has one, InputError when there is no frame.
    """
    count, size = 0, (0, 0)
    for count, frame in enumerate(frames, start=1):
        size = frame.shape[0], frame.shape[1]
        if faces := find_faces(locator, frame, count - 1):
            return frame, largest_face(faces)
    if not count:
        raise InputError(f"{what} has no frames; needed is at least one")
    raise no_face(f"any of the {count} frames of {what}", locator, *size)


def first_face(frames: Iterable[np.ndarray], locator: FaceLocator, what: str = "the driving video") -> Face:
    """`first_seen`'s face."""
    return first_seen(frames, locator, what)[1]


class FaceCrops:
    """The crops of one shot: `first` is the face that sets the fixed boxes, `steadiness` its locator's.

    All pictures have the size of the first one. Crops are `size` x `size`. `quick`: resized about as released.
    """

    def __init__(self, first: Face, steadiness: float, *, crop_px: int, size: int, quick: bool = False) -> None:
        self._first_box = corners(first.box)
        self._steadiness = steadiness
        self._face: Face | None = None
        self._crop_px, self._size, self._quick = crop_px, size, quick
        self._pose_box: tuple[int, int, int, int] | None = None

    def crop(self, image: np.ndarray, face: Face) -> DrivingCrop:
        """Of `face` in `image` (H, W, 3) uint8 RGB. Raises InputError for a first face at the very edge."""
        if self._pose_box is None:
            height, width = image.shape[:2]
            x0, y0, x1, y1 = portrait_box(self._first_box, height=height, width=width)
            if x1 <= x0 or y1 <= y0:
                raise InputError(
                    f"the first driving face leaves a crop of {x1 - x0} x {y1 - y0} pixels; needed is a face that is "
                    "larger, or more of it in the picture: cut the driving video's beginning"
                )
            self._pose_box = x0, y0, x1, y1
        self._face = face = self._steady(face)
        return DrivingCrop(
            face_image=face_image(image, face_box(face.landmarks, self._first_box), self._size, quick=self._quick),
            pose_image=pose_image(image, self._pose_box, crop_px=self._crop_px, size=self._size, quick=self._quick),
            landmarks=face.landmarks,
        )

    def _steady(self, face: Face) -> Face:
        """`face` mixed with the previous one, as much as the locator's jitter asks for."""
        weight, before = self._steadiness, self._face
        if before is None or not weight:
            return face
        old, new = np.array(before.box), np.array(face.box)
        leap = np.abs((new[:2] + new[2:] / 2) - (old[:2] + old[2:] / 2)).max()
        if leap > _LEAP * old[2]:
            return face
        box = weight * old + (1 - weight) * new
        landmarks = weight * before.landmarks + (1 - weight) * face.landmarks
        return Face(box=tuple(box.tolist()), landmarks=landmarks, score=face.score)


class DrivingCrops:
    """Turns driving frames (H, W, 3) uint8 RGB into `DrivingCrop`s of `size` x `size`.

    `first` is the face that sets the fixed boxes, `shown` the frame that shows it: what frames before it hold. None:
    the first frame of all. All frames have the size of the first frame.
    """

    def __init__(
        self,
        locator: FaceLocator,
        first: Face,
        *,
        crop_px: int = 512,
        size: int = 256,
        shown: np.ndarray | None = None,
        cuts: Cuts = "released",
    ) -> None:
        self._followed = FollowedFace(locator)
        self._first, self._shown = first, shown
        self._steadiness, self._cuts = locator.steadiness, cuts
        self._sizes: dict[str, Any] = {"crop_px": crop_px, "size": size}
        self._crops = FaceCrops(first, self._steadiness, **self._sizes)
        self.frames = 0
        self.leaps = 0  # frames in which the face is elsewhere than it was: scene cuts, and other people

    @property
    def held(self) -> int:
        """Frames that do not show the face."""
        return self._followed.held

    @property
    def crowded(self) -> int:
        """Frames with several faces."""
        return self._followed.crowded

    def crops(self, frames: Iterable[np.ndarray]) -> Iterator[DrivingCrop]:
        """The crop of each frame, in order. One frame is held at a time, and the last one with the face."""
        for frame in frames:
            yield self.crop(frame)

    def crop(self, frame: np.ndarray, time_s: Fraction | float | None = None) -> DrivingCrop:
        """The crops of the next frame, which is at `time_s` of its video. Raises InputError for what is no face."""
        if not self.frames:
            self._followed.begin(frame if self._shown is None else self._shown, self._first)
            self._shown = None  # it may be a large picture
        self.frames += 1
        sight = self._followed.see(frame, self.frames - 1, time_s)
        assert sight is not None, "it has begun with a face"
        self.leaps += sight.leapt
        anew = sight.leapt and self._cuts == "anew"
        if anew:
            self._crops = FaceCrops(sight.face, self._steadiness, **self._sizes)
        crop = self._crops.crop(sight.image, sight.face)
        return replace(crop, anew=True) if anew else crop

    def notes(self) -> list[str]:
        """What a user should know about the faces so far, a line each; empty when all was well."""
        return self._followed.notes(AFTER_CUT[self._cuts])
