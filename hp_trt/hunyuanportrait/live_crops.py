"""The driving faces of a stream as they come: where they are, and how much they have moved lately.

Causal, where a clip looks ahead: the first face sets the crop, until it is set anew or pictures have another size, and
the latest frames alone tell how much a face moves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from hp_trt.faces.face import Face, FaceFollower, FaceLocator, largest_face
from hp_trt.hunyuanportrait.driving import DrivingCrop, DrivingCrops
from hp_trt.hunyuanportrait.geometry import motion_ids

_INTENSITY_FRAMES = 25  # the latest so many tell how much a face moves: as many as the released chunk (SPEC 7.4)
_LOOK_AROUND = 25  # every so many frames the whole picture is searched, whatever is followed


class LiveCrops:
    """Turns driving frames into crops, one after the other, on one thread. `geometry` is the manifest's."""

    def __init__(self, locator: FaceLocator, geometry: Mapping[str, int]) -> None:
        self._locator, self._geometry = locator, geometry
        self._crops: DrivingCrops | None = None
        self._size: tuple[int, ...] = ()
        self._latest: DrivingCrop | None = None
        self._face: Face | None = None  # of the frame before
        self._landmarks: deque[np.ndarray] = deque(maxlen=_INTENSITY_FRAMES)
        self._resized = 0
        self.anew = True  # the next face sets the crop; for any thread to set
        self.frames = 0  # that have a crop
        self.held = 0  # of them, those without a face
        self.crowded = 0  # of them, those with several
        self.faceless = 0  # before the first face

    def crop(self, image: np.ndarray, index: int) -> DrivingCrop | None:
        """What the motion networks see of a frame (H, W, 3) uint8 RGB; of one without a face, what they saw last.

        None before the first face. `index` counts the frames that were pushed.
        """
        if image.shape != self._size:
            self._resized += bool(self._size)
            self._size, self.anew = image.shape, True
        faces = self._find(image, index)
        if self.anew and faces:
            self._crops = DrivingCrops(
                self._locator, largest_face(faces), crop_px=self._geometry["crop_px"], size=self._geometry["motion_px"]
            )
            self._landmarks.clear()
            self.anew = False
        if self._crops is None:
            self.faceless += 1
            return None
        self.frames += 1
        self.held += not faces
        self.crowded += len(faces) > 1
        # Old boxes do not fit a picture of another size: until its first face the last crop stands still.
        if not self.anew or faces:
            self._latest = self._crops.crop_of(image, faces)
        return self._latest

    def intensity(self, crops: Sequence[DrivingCrop]) -> tuple[int, int]:
        """The head's and the expression's ids from these frames and those before, at most 25."""
        self._landmarks.extend(crop.landmarks for crop in crops)
        return motion_ids(np.stack(self._landmarks))

    def notes(self) -> list[str]:
        """What a user should know about the faces so far, a line each; empty when all was well."""
        notes = []
        if self.faceless:
            notes.append(f"{self.faceless} driving frames came before the first face: nothing was made of them")
        if self.held:
            notes.append(f"{self.held} of {self.frames} driving frames show no face: the one before was held")
        if self.crowded:
            notes.append(f"{self.crowded} of {self.frames} driving frames show several faces: the largest was used")
        if self._resized:
            notes.append(
                f"the driving frames changed their size {self._resized} times: each time the crop was set anew"
            )
        return notes

    def _find(self, image: np.ndarray, index: int) -> Sequence[Face]:
        """The face where it was, if the locator can follow one; else all faces, and now and then in any case."""
        faces: Sequence[Face] = []
        if (
            self._face is not None
            and not self.anew
            and index % _LOOK_AROUND
            and isinstance(self._locator, FaceFollower)
        ):
            faces = self._locator.near(image, self._face)
        faces = faces or self._locator.locate(image, index)
        self._face = largest_face(faces) if faces else None
        return faces
