"""What a user is told of a bundle before its pictures tell it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hp_trt.api import Runtime
from hp_trt.profiles import find_profile


@pytest.mark.parametrize(
    ("profile", "networks", "told"),
    [
        ("live", ["unet"], True),
        ("live", ["unet", "live_unet"], False),
        ("exact", ["unet"], False),
    ],
)
def test_one_step_of_a_denoiser_that_is_not_distilled_is_told_of(profile, networks, told):
    manifest = SimpleNamespace(weights={"fingerprint": dict.fromkeys(networks, "")})
    runtime: Any = SimpleNamespace(bundle=SimpleNamespace(manifest=manifest))
    notes = Runtime.notes_of(runtime, find_profile(profile))
    assert bool(notes) == told == any("is not distilled" in note for note in notes)
