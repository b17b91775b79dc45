"""Which graphs a profile of Hallo2 needs, and which shortcuts it has not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engines.errors import InputError
from engines.manifest import Manifest
from hp_trt.hallo2.profiles import PROFILES, STREAMED, check_choices, roles, sampling_of, sampling_of_bundle
from hp_trt.hallo2.promises import graphs
from runtime.hallo2.sampling import Sampling
from tests.hp_trt.hallo2.bundles import good

EXACT = PROFILES.find("exact")


def read(tmp_path, text: str):
    file = tmp_path / "mine.toml"
    file.write_text(f"[mine]\n{text}\n")
    return PROFILES.read(file)["mine"]


def test_exact_leaves_nothing_out_and_live_is_exact_as_speech_comes():
    live = PROFILES.find("live")
    assert (EXACT.mode, EXACT.denoiser, EXACT.decoder, dict(EXACT.sampling)) == ("clip", "full", "full", {})
    assert live.mode == "live" and dict(live.sampling) == {}
    assert set(PROFILES.own()) == {"exact", "balanced", "live"}


def test_balanced_is_exact_in_fewer_steps():
    balanced = PROFILES.find("balanced")
    assert (balanced.mode, balanced.denoiser, dict(balanced.sampling)) == ("clip", "full", {"steps": 10})


def test_every_role_is_a_graph_of_the_bundle_and_a_guidance_of_1_is_one_half():
    both, one = (roles(EXACT, Sampling(guidance=guidance)) for guidance in (3.5, 1.0))
    assert set(both.values()) | set(one.values()) == set(graphs(4))
    assert (both.pop("denoiser"), one.pop("denoiser")) == ("talk_denoiser", "talk_denoiser_one")
    assert both == one and {*both, "denoiser"} >= STREAMED


def test_sampling_is_the_bundles_then_the_profiles(tmp_path):
    own = {"steps": 9, "seed": 3, "scaling_factor": 0.2}
    made = sampling_of(own, read(tmp_path, "steps = 4\nmotion_weights = [1, 1, 1.2]"))
    assert (made.steps, made.seed, made.scaling_factor, made.motion_weights) == (4, 3, 0.2, (1.0, 1.0, 1.2))
    assert sampling_of(own, replace(EXACT, sampling={"steps": None})).steps == 9


def test_a_distilled_denoiser_is_the_conditional_half_alone(tmp_path):
    assert sampling_of({"guidance": 3.5}, read(tmp_path, 'denoiser = "distilled"')).guidance == 1
    with pytest.raises(InputError, match=r"has its guidance in it.*set guidance = 1\.0"):
        read(tmp_path, 'denoiser = "distilled"\nguidance = 2.0')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('decoder = "tiny"', "there is no small decoder of this model yet"),
        ('decoder = "tiny-or-full"', "there is no small decoder of this model yet"),
        ('quantize = "int8"', "this model is not quantised yet"),
        ("deep_every = 2", "profile mine has no key deep_every"),
        ("guidance_motion = [1, 1]", "did you mean guidance?"),
        ("window = 3", "only mode live has window"),
        ('mode = "live"\nwindow = 3', "a clip is as long as its bundle's"),
        ("overlap = 2", "there is no sampling option overlap"),
        ("steps = 0", "steps needs a whole number of at least 1, got 0"),
        ("guidance = 0.5", "guidance can be 1 to 1000, got 0.5"),
        ("guidance = nan", "guidance needs a finite number, got nan"),
        ("motion_weights = [1, 1]", "motion_weights needs three numbers"),
        ('base = "balance"', "its base 'balance' does not exist; did you mean balanced?"),
    ],
)
def test_what_this_model_has_not_is_refused_in_words_that_name_the_profile(tmp_path, text, says):
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert str(error.value).startswith("profile mine") and says in str(error.value)


def test_a_mood_is_no_option_of_these_weights():
    check_choices(EXACT)
    with pytest.raises(InputError, match=r"these weights know no moods: .*; leave the mood out"):
        sampling_of({}, replace(EXACT, sampling={"mood": "happy"}))
    assert sampling_of({}, replace(EXACT, sampling={"mood": None})) == Sampling()


def test_a_mood_is_its_weights_where_the_weights_of_a_bundle_know_any():
    made = sampling_of({"steps": 4}, replace(EXACT, sampling={"mood": "sad:0.25"}), moods=True)
    assert made == Sampling(steps=4, mood_weights=(0.75, 0, 0.25, 0, 0, 0))
    assert sampling_of({}, EXACT, moods=True).mood_weights is None
    assert sampling_of({}, replace(EXACT, sampling=vars(Sampling(steps=4)))).steps == 4  # where all are none
    for moods in (True, False):
        with pytest.raises(InputError, match="there is no sampling option mood_weights; did you mean mood"):
            sampling_of({}, replace(EXACT, sampling={"mood_weights": (1, 0, 0, 0, 0, 0)}), moods=moods)


def test_whether_weights_know_moods_is_read_from_the_denoisers():
    happy = replace(EXACT, sampling={"mood": "happy"})
    assert sampling_of_bundle(Manifest.from_json(good(moods=True)), happy).mood_weights == (0, 1, 0, 0, 0, 0)
    with pytest.raises(InputError, match="these weights know no moods"):
        sampling_of_bundle(Manifest.from_json(good()), happy)
