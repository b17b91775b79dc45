"""Faces from a file instead of a detector.

One JSON file describes one picture or video, so any tool can make it:

    {"format": "hp-trt-landmarks", "version": 1, "width": 1280, "height": 720,
     "frames": [
       [{"box": [x, y, w, h], "landmarks": [[x, y], [x, y], [x, y], [x, y], [x, y]], "score": 1.0}],
       []
     ]}

`frames` has one list of faces for every frame, empty where there is none; a picture is one frame.
Landmarks: eye, eye, nose, mouth corner, mouth corner, in pixels. `score` may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from engines.safe_output import safe_output
from hp_trt.faces.face import Face

_FORMAT, _VERSION = "hp-trt-landmarks", 1


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
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read as JSON ({error}); see hp_trt/faces/landmarks_file.py") from error
        if not isinstance(data, dict) or data.get("format") != _FORMAT or data.get("version") != _VERSION:
            raise InputError(f'{path} is no landmarks file: it must say "format": "{_FORMAT}", "version": {_VERSION}')
        try:
            frames = [[_face(entry) for entry in faces] for faces in data["frames"]]
            return cls(frames, height=int(data["height"]), width=int(data["width"]), name=str(path))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: {type(error).__name__}: {error}; needed are width, height and frames, each face with "
                "a box of 4 numbers and 5 landmarks of 2"
            ) from error

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


def _face(entry: Any) -> Face:
    landmarks = np.array(entry["landmarks"], dtype=np.float64)
    x, y, w, h = (float(v) for v in entry["box"])
    if landmarks.shape != (5, 2) or not np.isfinite([*landmarks.ravel(), x, y, w, h]).all() or w <= 0 or h <= 0:
        raise ValueError(f"a face has box {[x, y, w, h]} and landmarks of shape {landmarks.shape}")
    return Face(box=(x, y, w, h), landmarks=landmarks, score=float(entry.get("score", 1.0)))
