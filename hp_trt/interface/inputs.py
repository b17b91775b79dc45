"""What an application hands a Runtime, as its model takes it: a driving video, a sound, options, who finds faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.config import RuntimeConfig
from hp_trt.encoded.encoded_file import encoded_file
from hp_trt.encoded.kept_portrait import refuse_landmarks
from hp_trt.interface.finders import Faces, Finders
from hp_trt.interface.speech import speech_of
from hp_trt.media.driving_frames import DrivingFrames
from hp_trt.model import Driving, Model, SamplingOptions, Speech
from hp_trt.profiles import Profile, naming, require_live

DrivingSource = Path | str | Sequence[np.ndarray]  # a file, or (H, W, 3) uint8 RGB arrays


def with_options(model: Model | type[Model], bundle: Bundle, profile: Profile, sampling: Mapping[str, Any]) -> Profile:
    """The profile with a caller's sampling options; None is no option. Only the bundle's manifest is looked at.

    Raises InputError for what cannot be, with the profile's name where the caller gave no option.
    """
    given = {name: value for name, value in sampling.items() if value is not None}
    if foreign := (given.keys() & SamplingOptions.__annotations__.keys()) - model.options:
        raise InputError(
            f"{', '.join(sorted(foreign))}: no sampling option of {bundle.manifest.model}, which this bundle is for; "
            "leave it out"
        )
    chosen = replace(profile, sampling={**profile.sampling, **given})
    with nullcontext() if given else naming(profile.name):
        model.check_sampling(bundle, chosen)
    return chosen


class Inputs:
    """Of one bundle and its opened model."""

    def __init__(self, bundle: Bundle, config: RuntimeConfig, model: Model, finders: Finders) -> None:
        self._bundle, self._config, self._model, self._finders = bundle, config, model, finders

    def profile(self, profile: Profile, sampling: Mapping[str, Any]) -> Profile:
        """`with_options` of the bundle that is open."""
        return with_options(self._model, self._bundle, profile, sampling)

    def live_profile(self, profile: Profile | str, sampling: Mapping[str, Any]) -> Profile:
        """One of mode live, with a caller's options. Raises InputError."""
        found = profile if isinstance(profile, Profile) else self._model.profiles.find(profile)
        return self.profile(require_live(found), sampling)

    def driving(self, source: DrivingSource, profile: Profile, landmarks: Faces | None) -> Driving:
        """The driving video, or a motion file in its place. Raises InputError for one that is none, for a motion file
        that cannot stand for it, and for more than a clip may have, where their number is known."""
        images = DrivingFrames(source, nvdec=self._config.nvdec)
        if images.encoded is not None:
            refuse_landmarks(landmarks, images.name)
            self._model.check_motion(self._bundle, images.encoded, profile)
        if profile.mode == "clip":
            images.check_length(self._config.max_frames)
        locator = self._finders.of_driver(profile, landmarks)
        return Driving(frames=images, locator=locator, max_frames=self._config.max_frames)

    def speech(self, audio: Any, released_plan: Any, profile: Profile) -> Speech:
        """The sound, or a motion file in its place. Raises InputError."""
        speech = speech_of(audio, released_plan)
        if (file := encoded_file(speech.source, "motion")) is not None:
            self._model.check_motion(self._bundle, file, profile)
        return speech
