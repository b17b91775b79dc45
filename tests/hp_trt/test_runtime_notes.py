"""What a user is told of a bundle before its pictures tell it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from engines.errors import InputError
from hp_trt.api import Runtime
from hp_trt.config import RuntimeConfig
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


def test_products_that_a_family_lacks_are_refused_before_a_graph_is_opened():
    runtime: Any = SimpleNamespace(config=RuntimeConfig())
    with pytest.raises(InputError, match="the profile exact is for fp8 products, onnxruntime has none"):
        Runtime.sessions_of(runtime, replace(find_profile("exact"), quantize="fp8"))
