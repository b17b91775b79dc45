"""Who says where faces are: the locator of a configuration, or whatever an application hands in."""

from __future__ import annotations

from pathlib import Path

from hp_trt.config import RuntimeConfig
from hp_trt.faces.face import FaceLocator
from hp_trt.faces.locators import open_live_locator, open_locator
from hp_trt.interface import arguments
from hp_trt.profiles import Profile

Faces = Path | str | FaceLocator  # a landmarks file (`hp_trt.faces.landmarks_file`), or any locator


class Finders:
    """Those of a Runtime; the configured one is opened at once. Raises what that raises."""

    def __init__(self, config: RuntimeConfig) -> None:
        self._config = config
        self._usual = open_locator(config.locator, config.locator_file)

    def of(self, landmarks: Faces | None) -> FaceLocator:
        """The one that `landmarks` names; None: the configured one. Raises InputError."""
        if landmarks is None:
            return self._usual
        if isinstance(landmarks, Path | str):
            return open_locator("landmarks", arguments.path("landmarks", landmarks))
        members = ("locate", "name", "reads_pixels", "steadiness")
        found: FaceLocator = arguments.having("landmarks", landmarks, "path, or a locator,", *members)
        return found

    def of_driver(self, profile: Profile, landmarks: Faces | None) -> FaceLocator:
        """A live session's thread takes no turns at its locator, which is for one thread: it has one of its own."""
        if profile.mode == "live" and landmarks is None:
            return open_live_locator(self._config.locator, self._config.locator_file)
        return self.of(landmarks)
