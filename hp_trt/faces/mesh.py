"""Faces by a landmark network that sees a mouth and a turned head: `face_landmark.tflite`, run by OpenCV.

Haar finds the face, also in a picture that is turned or framed too closely; the network then reads 468 points in an
upright crop. A face that is followed needs no Haar: the points of one frame say where the crop of the next one lies.
`hp-trt fetch mesh` gets the file (`hp_trt.fetch.table`); another one is refused before OpenCV sees it.

Source: the public model card of the face mesh: 192 x 192 RGB in [0, 1] in; 468 points of x, y, z in pixels of it out,
and the logit of whether there is a face.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from engines.foreign import foreign
from hp_trt.faces.face import Face
from hp_trt.faces.haar import HaarLocator
from hp_trt.faces.mesh_points import INPUT_PX, POINTS, Square, face_of
from hp_trt.fetch.table import MESH

Read = Callable[[np.ndarray], tuple[np.ndarray, float]]  # (192, 192, 3) uint8 -> (468, 2) in its pixels, a logit

# The least logit. On photographed and drawn faces it is 10 to 30, a half hidden one 7 to 9; where the network lays its
# points on a face that lies on its side, or on none, it is -10 to 8. What is followed was a face a moment ago.
_FOUND, _FOLLOWED = 10.0, 4.0
# A crop shows a face as the network wants it when the points in it ask for about the same crop again.
_MOST_CROPS = 8
# Where an upright search finds nothing, a small copy of the picture is turned by these angles, with a border for a face
# that fills it. Haar sees a face up to 15 degrees from upright.
_TURNS_DEG = 0, -30, 30, -60, 60, -90, 90
_COPY_PX, _CANVAS_PX = 160, 240
_SMALLEST_PX = 8  # of a crop: what is less shows nobody
_MOST_SHRINKS = 4


class MeshLocator:
    """The face mesh. A `FaceFollower`: give `near` the face of the frame before.

    `locate` also looks where the faces of the frame before were, so that a video of which each frame is searched has
    steady points, and faces that have turned away from what a search finds. It forgets them at frame 0.
    """

    name = "the face mesh"
    reads_pixels = True
    steadiness = 0.0  # its points tremble a third as much as Haar's do unsteadied

    def __init__(self, read: Read) -> None:
        self._read = read
        self._haar = HaarLocator()
        self._before: tuple[list[Face], tuple[int, ...]] = [], ()  # what was seen last, in a picture of which shape

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        before, shape = self._before
        found = [face for was in before for face in self._look(image, was)] if frame and shape == image.shape else []
        for squares in self._searches(image):
            found += [face for square in squares if (face := self._seen(image, square, _FOUND)) is not None]
            if found:
                break
        found = _different(found)
        if found or not frame:
            self._before = found, image.shape
        return found

    def near(self, image: np.ndarray, face: Face) -> list[Face]:
        """`face` of the frame before in this one, or nothing where it cannot be seen near there."""
        found = self._look(image, face)
        if found:
            self._before = found, image.shape
        return found

    def _look(self, image: np.ndarray, face: Face) -> list[Face]:
        square = Square.round_box(face.box) if face.mesh is None else Square.round(face.mesh)
        found = self._seen(image, square, _FOLLOWED)
        return [] if found is None else [found]

    def _searches(self, image: np.ndarray) -> Iterator[list[Square]]:
        """What Haar takes for faces, search after search."""
        yield [Square.round_box(face.box) for face in self._haar.locate(image)]
        for turn_deg in _TURNS_DEG:
            canvas, whole = _canvas(image, math.radians(turn_deg))
            squares = [Square.round_box(face.box) for face in self._haar.locate(canvas)]
            yield [_back(square, whole) for square in squares]

    def _seen(self, image: np.ndarray, square: Square, least: float) -> Face | None:
        """The face in the `square`, or in the one that its points ask for; None where there is none."""
        height, width = image.shape[:2]
        for _ in range(_MOST_CROPS):
            points, logit = self._read(crop(image, square))
            if not np.isfinite(points).all():
                return None
            points = square.from_input(points)
            wanted = Square.round(points)
            if not (logit >= _FOLLOWED and _SMALLEST_PX <= wanted.side < math.inf):
                return None
            if wanted.is_near(square):
                inside = ((points >= 0) & (points <= (width - 1, height - 1))).all(axis=1)
                found = logit >= least and inside.mean() >= 0.5
                return face_of(points, 1 / (1 + math.exp(-logit))) if found else None
            square = wanted
        return None


def open_mesh(path: Path) -> MeshLocator:
    """The locator of the file at `path`. Raises InputError where it is missing, another file, or not to be opened."""
    return MeshLocator(open_network(path))


def open_network(path: Path) -> Read:
    """What the network of `path` reads in a crop. Raises InputError as `open_mesh` does."""
    import cv2

    data = np.frombuffer(MESH.read(path), np.uint8)
    advice = "install an opencv-python-headless of at least 4.10 and below 5"
    with foreign(f"OpenCV {cv2.__version__} cannot open {path}", advice):
        network = cv2.dnn.readNetFromTFLite(data)
        names = network.getUnconnectedOutLayersNames()

    def read(picture: np.ndarray) -> tuple[np.ndarray, float]:
        planes = picture.astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255)
        with foreign(f"OpenCV {cv2.__version__} cannot run {path}", advice):
            network.setInput(np.ascontiguousarray(planes))
            by_size = {output.size: output.reshape(-1) for output in network.forward(names)}
            points, logit = by_size[3 * POINTS].reshape(POINTS, 3)[:, :2], float(by_size[1][0])
        return points.astype(np.float64), logit

    return read


def crop(image: np.ndarray, square: Square) -> np.ndarray:
    """(192, 192, 3) uint8: the `square` of `image` (H, W, 3), black outside it. A large one is shrunk by averaging."""
    import cv2

    shrinks = min(max(round(square.side / INPUT_PX), 1), _MOST_SHRINKS)
    px = shrinks * INPUT_PX
    cut = cv2.warpAffine(np.ascontiguousarray(image), square.to_input(px), (px, px), flags=cv2.INTER_LINEAR)
    return cut if shrinks == 1 else cv2.resize(cut, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)


def _canvas(image: np.ndarray, turn: float) -> tuple[np.ndarray, Square]:
    """A small copy of `image`, turned and with a border of its edge, and the square of the picture that it shows."""
    import cv2

    height, width = image.shape[:2]
    scale = _COPY_PX / max(height, width)
    small = image
    if scale < 1:
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    middle = ((small.shape[1] - 1) / 2, (small.shape[0] - 1) / 2)
    seen = Square(middle=middle, side=_CANVAS_PX / max(scale, 1), turn=turn)
    canvas = cv2.warpAffine(
        np.ascontiguousarray(small),
        seen.to_input(_CANVAS_PX),
        (_CANVAS_PX, _CANVAS_PX),
        borderMode=cv2.BORDER_REPLICATE,
    )
    return canvas, Square(middle=((width - 1) / 2, (height - 1) / 2), side=_CANVAS_PX / scale, turn=turn)


def _back(square: Square, canvas: Square) -> Square:
    """A square of the canvas as one of the picture."""
    scale = canvas.side / _CANVAS_PX
    matrix = canvas.to_input(_CANVAS_PX)
    x, y = np.linalg.solve(matrix[:, :2], np.array(square.middle) - matrix[:, 2])
    return Square(middle=(float(x), float(y)), side=square.side * scale, turn=canvas.turn + square.turn)


def _different(faces: list[Face]) -> list[Face]:
    """Without those whose middle lies in the box of an earlier one: one face is found in several ways."""
    kept: list[Face] = []
    for face in faces:
        x, y = face.landmarks.mean(axis=0)
        if not any(f.box[0] < x < f.box[0] + f.box[2] and f.box[1] < y < f.box[1] + f.box[3] for f in kept):
            kept.append(face)
    return kept
