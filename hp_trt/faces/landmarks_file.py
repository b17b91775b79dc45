"""Faces from a file instead of a detector.

One JSON file describes one picture or video, so any tool can make it:

    {"format": "hp-trt-landmarks", "version": 1, "width": 1280, "height": 720,
     "frames": [
       [{"box": [x, y, w, h], "landmarks": [[x, y], [x, y], [x, y], [x, y], [x, y]], "score": 1.0}],
       []
     ]}

`frames` has one list of faces for every frame, empty where there is none; a picture is one frame.
Landmarks: eye, eye, nose, mouth corner, mouth corner, in pixels. `score` may be left out. A face may lie partly outside
of its picture, by no more than the picture's own size: what is cut out is as large as the box says.

A face may also say more, for models that need to know where outline and lips are:

    "mesh": [[x, y], ...]                            the face mesh's 468 or 478 points (`hp_trt.faces.mesh_points`);
                                                     box and landmarks may then be left out, they are read from it
    "face": [x, y, w, h], "lips": [x, y, w, h]       the boxes of outline (hairline to chin) and lips, both or none
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from engines.fields import Field, read_json, shown
from engines.safe_output import safe_output
from hp_trt.faces.face import MESH_POINTS, Face, FaceParts
from hp_trt.faces.mesh_points import face_of

_FORMAT, _VERSION = "hp-trt-landmarks", 1
_MOST_BYTES = 32 << 20  # seven faces in each of 10,000 frames
_LARGEST_PX = 1 << 16  # along a side
_LEAST_PX = 1.0  # of a box, and between the landmarks


class LandmarksFile:
    """The faces of one video, frame by frame."""

    reads_pixels = False
    steadiness = 0.0

    def __init__(self, frames: Sequence[Sequence[Face]], *, height: int, width: int, name: str = "landmarks") -> None:
        self.name = name
        self.frames = [list(faces) for faces in frames]
        self.height, self.width = height, width

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        if image.shape[:2] != (self.height, self.width):
            raise InputError(
                f"{self.name} describes pictures of {self.width} x {self.height} pixels, this one has "
                f"{image.shape[1]} x {image.shape[0]}; make the landmarks from this very file"
            )
        if frame >= len(self.frames):
            raise InputError(
                f"{self.name} has {len(self.frames)} frames and frame {frame} is asked for (counting from 0); "
                "it needs one list of faces per frame of the video, empty where there is no face"
            )
        return self.frames[frame]

    @classmethod
    def read(cls, path: Path) -> LandmarksFile:
        """Raises InputError that says what in the file is wrong."""
        try:
            data = read_json(path, most_bytes=_MOST_BYTES)
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); give a JSON file of landmarks") from error
        except ValueError as error:
            raise InputError(f"{path} cannot be read as JSON ({error}); see hp_trt/faces/landmarks_file.py") from error
        found = data.found
        if not isinstance(found, dict) or found.get("format") != _FORMAT or found.get("version") != _VERSION:
            raise InputError(f'{path} is no landmarks file: it must say "format": "{_FORMAT}", "version": {_VERSION}')
        try:
            width, height = (data[side].whole(1, _LARGEST_PX) for side in ("width", "height"))
            frames = [
                [_face(face, width, height) for face in faces.listed(most=1000)]
                for faces in data["frames"].listed(least=1)
            ]
        except ValueError as error:
            raise InputError(
                f"{path}: {error}; needed are width, height and frames, each face with a box of 4 numbers and 5 "
                "landmarks of 2, in pixels of that picture"
            ) from error
        return cls(frames, height=height, width=width, name=str(path))

    def write(self, path: Path) -> None:
        """Whole or not at all. Raises OutputError."""
        with safe_output(path) as part:
            part.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """What such a file holds."""
        data = {
            "format": _FORMAT,
            "version": _VERSION,
            "width": self.width,
            "height": self.height,
            "frames": [[_told(face) for face in faces] for faces in self.frames],
        }
        return json.dumps(data)


def _told(face: Face) -> dict[str, Any]:
    """A face as the file has it."""
    told: dict[str, Any] = {"box": list(face.box), "landmarks": face.landmarks.tolist(), "score": face.score}
    if face.mesh is not None:
        told["mesh"] = face.mesh.tolist()
    if face.parts is not None:
        told |= {"face": list(face.parts.face), "lips": list(face.parts.lips)}
    return told


def _face(face: Field, width: int, height: int) -> Face:
    """One face of a picture of that size. ValueError."""
    score = float(face.get("score", 1.0).number(-1e9, 1e9))
    mesh = _mesh(found, width, height) if (found := face.get("mesh")) is not None else None
    of_mesh = None if mesh is None else face_of(mesh, score)
    box = of_mesh.box if of_mesh is not None and face.get("box") is None else _box(face["box"], width, height)
    if of_mesh is not None and face.get("landmarks") is None:
        landmarks = of_mesh.landmarks
    else:
        points = face["landmarks"].listed(least=5, most=5)
        landmarks = _points(points, width, height)
        if np.ptp(landmarks, axis=0).max() < _LEAST_PX:
            one = shown(landmarks[0].tolist())
            raise face["landmarks"].wrong("five points of a face", f"five within a pixel of {one}")
    parts = None
    if face.get("face") is not None or face.get("lips") is not None:
        outline, lips = (_box(face[name], width, height) for name in ("face", "lips"))
        parts = FaceParts(face=outline, lips=lips)
    return Face(box=box, landmarks=landmarks, score=score, mesh=mesh, parts=parts)


def _box(box: Field, width: int, height: int) -> tuple[float, float, float, float]:
    """x, y, w, h in or near a picture of that size. ValueError."""
    numbers = box.listed(least=4, most=4)
    x, y = (float(place.number(-side, 2 * side)) for place, side in zip(numbers, (width, height), strict=False))
    w, h = (float(size.number(_LEAST_PX, 3 * side)) for size, side in zip(numbers[2:], (width, height), strict=True))
    if x + w > 2 * width or y + h > 2 * height:
        raise box.wrong(f"a box in or near its picture of {width} x {height}")
    return x, y, w, h


def _mesh(mesh: Field, width: int, height: int) -> np.ndarray:
    """(468 or 478, 2) float64. ValueError."""
    found = mesh.listed(most=10_000)
    if len(found) not in MESH_POINTS:
        raise mesh.wrong(f"landmarks of {' or '.join(map(str, MESH_POINTS))} points", f"{len(found)}")
    points = _points(found, width, height)
    if np.ptp(points, axis=0).min() < _LEAST_PX:
        raise mesh.wrong("points of a face", "points within a pixel of a line")
    return points


def _points(points: Sequence[Field], width: int, height: int) -> np.ndarray:
    """(n, 2) float64 in or near a picture of that size. ValueError."""
    pairs = [point.listed(least=2, most=2) for point in points]
    placed = [[px.number(-width, 2 * width), py.number(-height, 2 * height)] for px, py in pairs]
    return np.array(placed, dtype=np.float64)
