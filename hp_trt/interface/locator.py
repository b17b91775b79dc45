"""Who says where faces are, as an application hands it in for one call."""

from __future__ import annotations

from pathlib import Path

from hp_trt.faces.face import FaceLocator
from hp_trt.faces.locators import open_locator
from hp_trt.interface import arguments


def given_locator(landmarks: object) -> FaceLocator:
    """The locator that `landmarks` is, or that of a landmarks file. Raises InputError."""
    if isinstance(landmarks, Path | str):
        return open_locator("landmarks", arguments.path("landmarks", landmarks))
    members = ("locate", "name", "reads_pixels", "steadiness")
    found: FaceLocator = arguments.having("landmarks", landmarks, "path, or a locator,", *members)
    return found
