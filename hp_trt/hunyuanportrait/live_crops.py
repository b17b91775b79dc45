"""The driving faces of a stream as they come: where they are, and how much they have moved lately.

Causal, where a clip looks ahead: the first face sets the crop, until it is set anew, the scene is cut or pictures have
another size, and the latest frames alone tell how much a face moves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hp_trt.faces.face import FaceLocator
from hp_trt.faces.followed import FollowedFace
from hp_trt.hunyuanportrait.driving import AFTER_CUT, DrivingCrop, FaceCrops
from hp_trt.hunyuanportrait.geometry import motion_ids
from hp_trt.profiles import Cuts

_INTENSITY_FRAMES = 25  # the latest so many tell how much a face moves: as many as the released chunk (SPEC 7.4)


class LiveCrops:
    """Turns driving frames into crops, one after the other, on one thread. `geometry` is the manifest's."""

    def __init__(self, locator: FaceLocator, geometry: Mapping[str, int], cuts: Cuts = "anew") -> None:
        self._followed = FollowedFace(locator, follow=True)
        self._steadiness = locator.steadiness
        self._sizes = {"crop_px": geometry["crop_px"], "size": geometry["motion_px"]}
        self._crops: FaceCrops | None = None
        self._size: tuple[int, ...] = ()
        self._landmarks: deque[np.ndarray] = deque(maxlen=_INTENSITY_FRAMES)
        self._resized = 0
        self.cuts = cuts
        self._pending = False  # the next face sets the crop
        self.anew = False  # the same, for any thread to set
        self.faceless = 0  # before the first face
        self.leaps = 0  # frames in which the face is elsewhere than it was: scene cuts, and other people

    @property
    def frames(self) -> int:
        """Frames that have a crop."""
        return self._followed.frames

    @property
    def held(self) -> int:
        """Of them, those that do not show the face."""
        return self._followed.held

    def crop(self, image: np.ndarray, index: int) -> DrivingCrop | None:
        """What the motion networks see of a frame (H, W, 3) uint8 RGB; of one without the face, of the last with it.

        None before the first face. `index` counts the frames that were pushed. Raises InputError for what is no face.
        """
        if image.shape != self._size:
            self._resized += bool(self._size)
            self._size, self._pending = image.shape, True
        if self.anew:
            self.anew, self._pending = False, True
        if self._pending:
            self._followed.restart()
        sight = self._followed.see(image, index)
        if sight is None:
            self.faceless += 1
            return None
        self.leaps += sight.leapt
        if self._crops is None or (not sight.held and (self._pending or (sight.leapt and self.cuts == "anew"))):
            self._crops = FaceCrops(sight.face, self._steadiness, **self._sizes, quick=True)
            self._pending = False
            return replace(self._crops.crop(sight.image, sight.face), anew=True)
        return self._crops.crop(sight.image, sight.face)

    def intensity(self, crops: Sequence[DrivingCrop]) -> tuple[int, int]:
        """The head's and the expression's ids from these frames and those before, at most 25 of one shot."""
        for crop in crops:
            if crop.anew:
                self._landmarks.clear()
            self._landmarks.append(crop.landmarks)
        return motion_ids(np.stack(self._landmarks))

    def notes(self) -> list[str]:
        """What a user should know about the faces so far, a line each; empty when all was well."""
        notes = []
        if self.faceless:
            notes.append(f"{self.faceless} driving frames came before the first face: nothing was made of them")
        notes += self._followed.notes(AFTER_CUT[self.cuts])
        if self._resized:
            notes.append(
                f"the driving frames changed their size {self._resized} times: each time the crop was set anew"
            )
        return notes
