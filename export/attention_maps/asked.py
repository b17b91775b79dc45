"""What is to be looked at, as every model's room takes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hp_trt.faces.face import FaceLocator

STEPS = 4  # where nobody says how many


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One portrait of one preset, and what moves it."""

    preset: str
    weights: Path | None  # None: random
    portrait: Path
    driver: Path  # a driving video, or speech
    locator: FaceLocator  # of the portrait's face
    driving_locator: FaceLocator  # of a driving video's faces
    steps: int | None = None  # None: `STEPS`, or as many as the preset takes where they are fewer
    mood: tuple[float, ...] | None = None  # how much there is of each, of a preset that knows moods
