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
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.errors import InputError
from engines.fields import Field, read_json, shown
from engines.safe_output import safe_output
from hp_trt.faces.face import Face

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
            "frames": [
                [{"box": list(f.box), "landmarks": f.landmarks.tolist(), "score": f.score} for f in faces]
                for faces in self.frames
            ],
        }
        return json.dumps(data)


def _face(face: Field, width: int, height: int) -> Face:
    """One face of a picture of that size. ValueError."""
    box = face["box"].listed(least=4, most=4)
    x, y = (float(place.number(-side, 2 * side)) for place, side in zip(box, (width, height), strict=False))
    w, h = (float(size.number(_LEAST_PX, 3 * side)) for size, side in zip(box[2:], (width, height), strict=True))
    if x + w > 2 * width or y + h > 2 * height:
        raise face["box"].wrong(f"a box in or near its picture of {width} x {height}")
    points = [point.listed(least=2, most=2) for point in face["landmarks"].listed(least=5, most=5)]
    landmarks = np.array(
        [[px.number(-width, 2 * width), py.number(-height, 2 * height)] for px, py in points], dtype=np.float64
    )
    if np.ptp(landmarks, axis=0).max() < _LEAST_PX:
        raise face["landmarks"].wrong("five points of a face", f"five within a pixel of {shown(landmarks[0].tolist())}")
    return Face(box=(x, y, w, h), landmarks=landmarks, score=float(face.get("score", 1.0).number(-1e9, 1e9)))
