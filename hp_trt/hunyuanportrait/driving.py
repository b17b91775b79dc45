"""The driving video as the motion networks see it, frame by frame.

`DrivingCrops` walks once through the frames and keeps only the last face, so a clip of any length
fits. Two boxes stay as the first face set them: the pose crop, and the size of the face crop.

Frames without a face hold the face of the frame before. Frames before the first face use that first
face, which `first_face` looks for beforehand: one frame decoded in most videos.

Source: SPEC 7.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engines.errors import InputError
from hp_trt.faces.face import Face, FaceLocator, largest_face, no_face
from hp_trt.hunyuanportrait.crops import face_image, pose_image
from hp_trt.hunyuanportrait.geometry import corners, face_box, portrait_box

# A face whose centre leaps by more than half its width is another face, or the same after a cut.
_LEAP = 0.5


@dataclass(frozen=True, kw_only=True)
class DrivingCrop:
    """One driving frame, ready for the motion networks. Arrays belong to the caller."""

    face_image: np.ndarray  # (3, P, P) float32 in [0, 1]
    pose_image: np.ndarray  # (3, P, P) float32 in [0, 1]
    landmarks: np.ndarray  # (5, 2) float64, pixels of the frame: what the motion ids are made of


def first_face(frames: Iterable[np.ndarray], locator: FaceLocator, what: str = "the driving video") -> Face:
    """The largest face of the first frame that has one; reads no further.

    Raises FaceNotFound when no frame has one, InputError when there is no frame.
    """
    count, size = 0, (0, 0)
    for count, frame in enumerate(frames, start=1):
        size = frame.shape[0], frame.shape[1]
        if faces := locator.locate(frame, count - 1):
            return largest_face(faces)
    if not count:
        raise InputError(f"{what} has no frames; needed is at least one")
    raise no_face(f"any of the {count} frames of {what}", locator, *size)


class DrivingCrops:
    """Turns driving frames (H, W, 3) uint8 RGB into `DrivingCrop`s of `size` x `size`.

    `first` is the face that sets the fixed boxes. All frames have the size of the first frame.
    """

    def __init__(self, locator: FaceLocator, first: Face, *, crop_px: int = 512, size: int = 256) -> None:
        self._locator = locator
        self._first_box = corners(first.box)
        self._face = first
        self._crop_px, self._size = crop_px, size
        self._pose_box: tuple[int, int, int, int] | None = None
        self._found_any = False
        self.frames = 0
        self.held = 0  # frames without a face
        self.crowded = 0  # frames with several

    def crops(self, frames: Iterable[np.ndarray]) -> Iterator[DrivingCrop]:
        """The crop of each frame, in order. One frame is held at a time."""
        for frame in frames:
            yield self.crop(frame)

    def crop(self, frame: np.ndarray) -> DrivingCrop:
        """The crops of the next frame."""
        faces = self._locator.locate(frame, self.frames)
        self.frames += 1
        self.held += not faces
        self.crowded += len(faces) > 1
        return self.crop_of(frame, faces)

    def crop_of(self, frame: np.ndarray, faces: Sequence[Face]) -> DrivingCrop:
        """The crops of a frame in which `faces` were found; without one the face before is held. Counts nothing."""
        if self._pose_box is None:
            self._pose_box = portrait_box(self._first_box, height=frame.shape[0], width=frame.shape[1])
        if faces:
            self._face = self._steady(largest_face(faces))
            self._found_any = True
        landmarks = self._face.landmarks
        return DrivingCrop(
            face_image=face_image(frame, face_box(landmarks, self._first_box), self._size),
            pose_image=pose_image(frame, self._pose_box, crop_px=self._crop_px, size=self._size),
            landmarks=landmarks,
        )

    def notes(self) -> list[str]:
        """What a user should know about the faces so far, a line each; empty when all was well."""
        notes = []
        if self.held:
            notes.append(f"{self.held} of {self.frames} driving frames show no face: the nearest one before was held")
        if self.crowded:
            notes.append(f"{self.crowded} of {self.frames} driving frames show several faces: the largest was used")
        return notes

    def _steady(self, face: Face) -> Face:
        """`face` mixed with the previous one, as much as the locator's jitter asks for."""
        weight = self._locator.steadiness
        old, new = np.array(self._face.box), np.array(face.box)
        leap = np.abs((new[:2] + new[2:] / 2) - (old[:2] + old[2:] / 2)).max()
        if not (weight and self._found_any) or leap > _LEAP * old[2]:
            return face
        box = weight * old + (1 - weight) * new
        landmarks = weight * self._face.landmarks + (1 - weight) * face.landmarks
        return Face(box=tuple(box.tolist()), landmarks=landmarks, score=face.score)
