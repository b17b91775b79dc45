"""A caller's sampling options, laid over a profile."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from engines.errors import InputError
from hp_trt.model import Model, SamplingOptions
from hp_trt.profiles import Profile, naming


def with_options(model: Model, name: str, profile: Profile, sampling: Mapping[str, Any]) -> Profile:
    """The profile with a caller's sampling options; None is no option. `name`: the model's, for messages.

    Raises InputError for what cannot be, with the profile's name where the caller gave no option.
    """
    given = {name: value for name, value in sampling.items() if value is not None}
    foreign = (given.keys() & SamplingOptions.__annotations__.keys()) - model.options
    if foreign:
        raise InputError(
            f"{', '.join(sorted(foreign))}: no sampling option of {name}, which this bundle is for; leave it out"
        )
    chosen = replace(profile, sampling={**profile.sampling, **given})
    with nullcontext() if given else naming(profile.name):
        model.check(chosen)
    return chosen
