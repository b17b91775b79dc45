"""Whether the bundle can do what a job or a live session asks for: told at once, and not once it is under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.models import find_model
from hp_trt.profiles import Profile


def check_sampling(bundle: Bundle, profile: Profile, options: Mapping[str, Any]) -> None:
    """`options`: steps, seed, mood, those that are not None. Raises InputError for what the bundle cannot do."""
    model = find_model(bundle)
    given = {name: value for name, value in options.items() if value is not None}
    if "mood" in given and model.driver == "video":
        raise InputError("a mood is of speech, and this service follows videos; leave it out")
    model.check_sampling(bundle, replace(profile, sampling={**profile.sampling, **given}))
