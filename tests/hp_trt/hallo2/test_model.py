"""What Hallo2 says of a bundle and a profile, and what it opens and makes of them."""

from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace
from typing import get_type_hints

import numpy as np
import pytest

import hp_trt.api as api
from engines.bundle import Bundle
from engines.errors import BundleError, InputError
from hp_trt.api import Runtime
from hp_trt.config import RuntimeConfig
from hp_trt.hallo2.model import Hallo2
from hp_trt.hallo2.profiles import PROFILES
from hp_trt.hallo2.work import profile_work
from hp_trt.model import SamplingOptions
from hp_trt.sample import landmarks_beside
from runtime.hallo2.presets import MOODS
from runtime.hallo2.sampling import Sampling
from tests.fakes import FakeBackend
from tests.hp_trt.live.fake_stream import portrait

EXACT = PROFILES.find("exact")
ONE_THREAD = RuntimeConfig(threads=1)


@pytest.fixture(scope="module")
def bundle(talk_bundle) -> Bundle:
    return Bundle.open(talk_bundle)


def model_of(bundle, **sampling) -> Hallo2:
    """Of a bundle whose own sampling is another, without opening a graph."""
    manifest = replace(bundle.manifest, sampling=sampling or bundle.manifest.sampling)
    return Hallo2(SimpleNamespace(manifest=manifest), RuntimeConfig(), FakeBackend(), SimpleNamespace())


def test_every_sampling_option_is_a_keyword_with_its_own_type():
    own, typed = get_type_hints(Sampling), get_type_hints(SamplingOptions)
    # The scale is the weights' own, and a mood is given in words.
    of_a_call = {field.name for field in fields(Sampling)} - {"scaling_factor", "mood_weights"}
    assert of_a_call | {"mood"} == Hallo2.options <= set(typed)
    assert {
        name: hint for name, hint in own.items() if name in of_a_call and typed[name] not in (hint, hint | None)
    } == {}


@pytest.mark.parametrize(
    ("sampling", "says"),
    [
        ({"steps": 0}, "steps needs a whole number of at least 1, got 0"),
        ({"guidance": 0.5}, "guidance can be 1 to 1000, got 0.5"),
        ({"mood": "happy"}, "these weights know no moods"),
        ({"window": 3}, "there is no sampling option window"),
    ],
)
def test_a_profile_that_cannot_be_is_refused_in_words(bundle, sampling, says):
    Hallo2.check_sampling(bundle, EXACT)
    with pytest.raises(InputError) as error:
        Hallo2.check_sampling(bundle, replace(EXACT, sampling=sampling))
    assert says in str(error.value)


def test_who_gives_no_separator_is_told_what_the_sound_is_taken_for(bundle, monkeypatch):
    assert [note.startswith("the sound is taken as it is") for note in model_of(bundle).notes(EXACT)] == [True]
    monkeypatch.setattr("hp_trt.hallo2.model.open_separator", lambda path: path)
    config = RuntimeConfig(vocals="Kim_Vocal_2.onnx")
    assert Hallo2(bundle, config, FakeBackend(), SimpleNamespace()).notes(EXACT) == ()


def test_a_portrait_that_another_model_has_encoded_is_refused(bundle):
    with pytest.raises(InputError, match="this portrait was encoded by another model than this bundle's"):
        model_of(bundle).check_portrait(portrait(3))


def test_work_is_that_of_the_bundles_own_sampling_and_guidance_1_is_half_of_it(bundle):
    own = {"steps": 4, "guidance": 3.5}
    work = model_of(bundle, **own).work(EXACT, 50)
    assert work == profile_work(EXACT, Sampling(**own), 50, clip=3, motion_frames=1)
    one = model_of(bundle, **own).work(replace(EXACT, sampling={"guidance": 1}), 50)
    assert (one.steps, 2 * one.rows) == (work.steps, work.rows)
    assert {call.graph for call in one.graphs["denoise"]} >= {"talk_denoiser_one"}


def test_a_runtime_opens_the_half_that_its_guidance_needs_and_the_other_when_a_caller_asks(talk_bundle, sample):
    profile = replace(EXACT, name="one", sampling={"steps": 1, "guidance": 1.0})
    with Runtime(talk_bundle, replace(ONE_THREAD, profile=profile)) as runtime:
        opened = set(runtime.graphs.sessions)
        assert "talk_denoiser_one" in opened and "talk_denoiser" not in opened
        who = runtime.portrait(sample[0], landmarks=landmarks_beside(sample[0]))
        sound = np.zeros(640, np.float32), 16_000
        one, both = (next(runtime.talk(who, sound, guidance=guidance)).crop for guidance in (1, 2))
        assert "talk_denoiser" in runtime.graphs.sessions
    assert (one != both).any()


def test_a_portrait_is_encoded_once_and_speaks_in_many_moods(moods_bundle, sample):
    with Runtime(moods_bundle, ONE_THREAD) as runtime:
        who = runtime.portrait(sample[0], landmarks=landmarks_beside(sample[0]))
        sound = np.zeros(640, np.float32), 16_000

        def crop(**options) -> np.ndarray:
            return next(runtime.talk(who, sound, steps=1, **options)).crop

        plain, moods = crop(), {mood: crop(mood=mood) for mood in MOODS}
        np.testing.assert_array_equal(moods["neutral"], plain)
        assert len({crop.tobytes() for crop in moods.values()}) == len(MOODS)
        np.testing.assert_array_equal(crop(mood="joyful"), moods["happy"])
        np.testing.assert_array_equal(crop(mood="happy:0"), plain)
        halves = crop(mood="happy:0.5"), crop(mood="happy:0.5", guidance=1)
        assert (halves[0] != moods["happy"]).any() and (halves[0] != plain).any() and (halves[1] != halves[0]).any()
        with pytest.raises(InputError, match="the mood 'hungry' is none of neutral, happy"):
            crop(mood="hungry")


def test_a_bundle_that_is_silent_of_its_latents_scale_has_the_published_one(bundle, sample, monkeypatch):
    """A manifest may leave any sampling option to its default."""
    without = {key: value for key, value in bundle.manifest.sampling.items() if key != "scaling_factor"}
    other = Bundle.open(bundle.path)
    object.__setattr__(other, "manifest", replace(bundle.manifest, sampling=without))
    frames = []
    for opened in (bundle, other):
        with Runtime(opened, ONE_THREAD) as runtime:
            who = runtime.portrait(sample[0], landmarks=landmarks_beside(sample[0]))
            frames.append(next(runtime.talk(who, (np.zeros(640, np.float32), 16_000), steps=1)).crop)
    np.testing.assert_array_equal(*frames)


def test_a_bundle_without_a_graph_that_a_profile_needs_says_which(bundle):
    cut = Bundle.open(bundle.path)
    graphs = {name: record for name, record in bundle.manifest.graphs.items() if name != "talk_denoiser_one"}
    object.__setattr__(cut, "manifest", replace(bundle.manifest, graphs=graphs))
    profile = replace(EXACT, sampling={"guidance": 1.0})
    with pytest.raises(BundleError, match="has no graph talk_denoiser_one, which this profile needs; build it: "):
        Runtime(cut, replace(ONE_THREAD, profile=profile))


def test_what_is_measured_of_speech_does_not_grow_with_it(talk_bundle, sample, tmp_path, monkeypatch):
    """At 40 steps an hour has a million spans."""
    monkeypatch.setattr(api, "_LIVE_SPANS", 5)
    with Runtime(talk_bundle, ONE_THREAD) as runtime:
        sound = np.zeros(8000, np.float32), 16_000
        where = {"portrait_landmarks": landmarks_beside(sample[0]), "steps": 1}
        made = runtime.animate(sample[0], out=tmp_path / "o.mp4", audio=sound, **where)
    assert made.frames == 13 and len(made.stages.spans) == 5


@pytest.mark.parametrize("released", [False, True])
def test_the_released_plan_is_asked_for_by_name(talk_bundle, sample, released):
    """0.56 s are 14 frames; as released, in floating point, a fifteenth is begun."""
    with Runtime(talk_bundle, ONE_THREAD) as runtime:
        who = runtime.portrait(sample[0], landmarks=landmarks_beside(sample[0]))
        frames = runtime.talk(who, (np.zeros(8960, np.int16), 16_000), released_plan=released, steps=1)
        assert [frame.index for frame in frames] == list(range(15 if released else 14))
