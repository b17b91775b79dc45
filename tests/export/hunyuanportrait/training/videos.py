"""A folder of videos for tests: drawn people as files, with their landmarks beside."""

from __future__ import annotations

from pathlib import Path

from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.measure.evaluation.drawn import known_faces
from hp_trt.media.video_writer import VideoWriter
from hp_trt.sample import landmarks_beside
from procedural.clip import clip


def write_video(path: Path, seed: int, *, frames: int, px: int = 64, faceless: int = 0, faces: bool = True) -> Path:
    """The person of `seed`; the first `faceless` frames are said to have no face, or all of them without `faces`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = clip(seed, frames=frames, px=px)
    with VideoWriter(path, width=px, height=px) as writer:
        for frame in made.frames():
            writer.write(frame)
    found = [shown if faces and i >= faceless else [] for i, shown in enumerate(known_faces(made).frames)]
    LandmarksFile(found, height=px, width=px).write(landmarks_beside(path))
    return path
