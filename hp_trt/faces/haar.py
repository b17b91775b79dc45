"""Faces by OpenCV's Haar cascades: needs no file, no network, no GPU.

The cascade gives a square; the eyes are looked for in its upper half, and where one is not found
(closed, turned away, hidden) it is put where eyes usually are in that square. Nose and mouth corners are
not detected: they are ArcFace's template laid on the two eyes, so they follow the head and not the lips.
That is enough to place the crops; a landmark network (`yunet`, `yoloface`) gives truer motion ids.
Upright, mostly frontal faces only.
"""

from __future__ import annotations

import numpy as np

from engines.file_names import utf8_name
from hp_trt.faces.align import TEMPLATE, similarity
from hp_trt.faces.face import Face

_LONGEST_PX = (360, 720, 1440)  # search sizes: a small face shows up only in the finer ones
_SMALLEST_FACE_PX = 40
# What a finer search can still find is not looked for in a coarse one: the smallest sizes are two thirds of its time.
_LEFT_TO_FINER_PX = 64
_EYE_PATCH_PX = 160
# A face that is followed is looked for at about this size, where the whole search would find it in a usual picture, and
# within these parts of the size it had.
_NEAR_FACE_PX = 110
_NEAR_SIZES = 0.8, 1.25
# From one size of an eye to the next, and the smallest, in the patch above. A followed face's are looked for faster:
# half of the time of the whole is theirs.
_EYES = 1.05, 20
_NEAR_EYES = 1.15, 26
# Where the eyes are in the cascade's square: the mean over portraits in which both were found.
_USUAL_EYES = np.array([[0.31, 0.39], [0.69, 0.39]])
# The square is wider than a face; trained detectors draw the narrower box that the crops expect.
_BOX_WIDTH = 0.8


class HaarLocator:
    """OpenCV's frontal face and eye cascades, settings chosen to miss little and to jitter little."""

    name = "OpenCV's Haar cascades"
    reads_pixels = True
    EYELESS = 0.5  # the score of a face in which no eye is seen; each that is adds a quarter
    steadiness = 0.5  # the cascade's square jumps by about 3 % of its side between equal frames

    def __init__(self) -> None:
        import cv2

        folder = utf8_name(cv2.data.haarcascades)  # type: ignore[attr-defined]  # missing from OpenCV's stubs
        self._faces = cv2.CascadeClassifier(folder + "haarcascade_frontalface_alt2.xml")
        # Evens out dark and pale pictures tile by tile; over the whole picture, a plain wall would eat the range.
        self._contrast = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(4, 4))
        self._eyes = cv2.CascadeClassifier(folder + "haarcascade_eye.xml")

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        import cv2

        gray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        longest = max(gray.shape)
        for search_px in _LONGEST_PX:
            smallest_px = _LEFT_TO_FINER_PX if search_px < min(longest, _LONGEST_PX[-1]) else _SMALLEST_FACE_PX
            squares = self._squares(gray, min(1.0, search_px / longest), smallest_px)
            found = [self._face(gray, square) for square in squares]
            # The finer searches also find more that is no face: there, an eye must be seen.
            faces = [face for face, eyes in found if eyes or search_px == _LONGEST_PX[0]]
            if faces or search_px >= longest:
                return faces
        return []

    def near(self, image: np.ndarray, face: Face) -> list[Face]:
        """The same face a moment later: about as large, about there. A fraction of the work of `locate`."""
        import cv2

        x, y, w, side = face.box
        left, top = max(int(x + w / 2 - side), 0), max(int(y - side / 2), 0)
        patch = np.ascontiguousarray(image[top : top + 2 * int(side), left : left + 2 * int(side)])
        if min(patch.shape[:2]) < side:  # it is leaving the picture
            return []
        gray = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
        scale = min(1.0, _NEAR_FACE_PX / side)
        least, most = (round(part * side * scale) for part in _NEAR_SIZES)
        found = [self._face(gray, square, _NEAR_EYES)[0] for square in self._squares(gray, scale, least, most)]
        return [near.moved(-left, -top, (1.0, 1.0)) for near in found]

    def _squares(
        self, gray: np.ndarray, scale: float, smallest_px: int, largest_px: int = 0
    ) -> list[tuple[float, float, float]]:
        """x, y, side of each square of at least `smallest_px` found in `gray` shrunk by `scale`; 0: of any more."""
        import cv2

        if min(gray.shape) * scale < smallest_px:  # a face does not fit, and a thin strip would vanish
            return []
        small = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else gray
        found = self._faces.detectMultiScale(
            self._contrast.apply(small),
            1.1,
            4,
            minSize=(smallest_px, smallest_px),
            maxSize=(largest_px, largest_px),
        )
        return [(float(x / scale), float(y / scale), float(side / scale)) for x, y, side, _ in found]

    def _face(
        self, gray: np.ndarray, square: tuple[float, float, float], search: tuple[float, int] = _EYES
    ) -> tuple[Face, int]:
        """The face in a square, and how many of its eyes were seen."""
        x, y, side = square
        eyes, seen = self._eye_points(gray, square, search)
        turn = similarity(TEMPLATE[:2], eyes)
        landmarks = TEMPLATE @ turn[:, :2].T + turn[:, 2]
        margin = side * (1 - _BOX_WIDTH) / 2
        return Face(
            box=(x + margin, y, side - 2 * margin, side), landmarks=landmarks, score=self.EYELESS + seen / 4
        ), seen

    def _eye_points(
        self, gray: np.ndarray, square: tuple[float, float, float], search: tuple[float, int]
    ) -> tuple[np.ndarray, int]:
        """(2, 2): the centre of each eye, left of the picture first; and how many were seen."""
        import cv2

        x, y, side = square
        patch = gray[int(y) : int(y + side), int(x) : int(x + side)]
        patch = cv2.resize(patch, (_EYE_PATCH_PX, _EYE_PATCH_PX), interpolation=cv2.INTER_AREA)
        (step, smallest), eyes, seen = search, _USUAL_EYES.copy(), 0
        top, bottom, half = int(0.18 * _EYE_PATCH_PX), int(0.64 * _EYE_PATCH_PX), int(0.47 * _EYE_PATCH_PX)
        for eye, left in enumerate((int(0.06 * _EYE_PATCH_PX), _EYE_PATCH_PX // 2 - 5)):
            region = np.ascontiguousarray(patch[top:bottom, left : left + half])
            found = self._eyes.detectMultiScale(region, step, 3, minSize=(smallest, smallest), maxSize=(60, 60))
            middles = [(left + ex + ew / 2, top + ey + eh / 2) for ex, ey, ew, eh in found]
            if middles:  # of several (brows, glasses) the one nearest to the usual place
                places = np.array(middles) / _EYE_PATCH_PX
                eyes[eye] = places[np.linalg.norm(places - _USUAL_EYES[eye], axis=1).argmin()]
                seen += 1
        return eyes * side + (x, y), seen
