"""Folders of pairs for tests: drawn clips as files."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.measure.evaluation.drawn import known_faces
from hp_trt.media.video_writer import VideoWriter
from procedural.clip import clip


def write_pair(home: Path, seed: int, *, frames: int = 4, px: int = 128, landmarks: bool = True) -> Path:
    """driving.mp4 of `seed` and portrait.png of the seed after it, with the landmarks of both if asked for."""
    home.mkdir(parents=True)
    driving, portrait = clip(seed, frames=frames, px=px), clip(seed + 1, frames=1, px=px)
    with VideoWriter(home / "driving.mp4", width=px, height=px, rate=25) as writer:
        for frame in driving.frames():
            writer.write(frame)
    Image.fromarray(portrait.frames()[0]).save(home / "portrait.png")
    if landmarks:
        for name, made in (("driving", driving), ("portrait", portrait)):
            LandmarksFile(known_faces(made).frames, height=px, width=px).write(home / f"{name}.landmarks.json")
    return home
