from __future__ import annotations

import pytest

from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.apps.service.sampling import check_sampling
from hp_trt.models import find_model
from hp_trt.shipped import bundle_folder


def check(preset: str, **options) -> None:
    bundle = Bundle.open(bundle_folder(f"shipped:{preset}"), family="")
    check_sampling(bundle, find_model(bundle).profiles.find("exact"), options)


def test_what_the_bundle_can_do_is_taken_and_none_is_nothing():
    check("pocket", steps=2, seed=1, mood=None)
    check("talk_pocket", steps=None, seed=None, mood="happy:0.5")


def test_a_mood_of_a_video_and_steps_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="a mood is of speech, and this service follows videos; leave it out"):
        check("pocket", mood="happy")
    with pytest.raises(InputError, match="steps"):
        check("talk_pocket", steps=10**6)
