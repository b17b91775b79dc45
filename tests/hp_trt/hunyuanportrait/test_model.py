"""What HunyuanPortrait says of a bundle and a profile before it makes a picture."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import get_type_hints

import numpy as np
import pytest

from engines.errors import InputError
from engines.manifest import OWN_SOURCE
from hp_trt.config import RuntimeConfig
from hp_trt.faces.face import Face
from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.hunyuanportrait.model import HunyuanPortrait
from hp_trt.hunyuanportrait.profiles import find_profile, sampling_of
from hp_trt.hunyuanportrait.work import profile_work
from hp_trt.model import SamplingOptions
from runtime.hunyuanportrait.sampling import Sampling
from runtime.stages import Stages
from tests.engines.bundles import manifest_of
from tests.fakes import FakeBackend
from tests.hp_trt.live.fake_stream import portrait


def bundle_of(*networks: str, graphs: tuple[str, ...] = ("tiny_decoder",), source: str = "a test") -> SimpleNamespace:
    weights = {"kind": "trained", "fingerprint": dict.fromkeys(networks, ""), "source": source}
    named = {name: SimpleNamespace(name=name, spec=SimpleNamespace(name=name)) for name in graphs}
    return SimpleNamespace(manifest=replace(manifest_of(), weights=weights, graphs=named))


def model_of(*networks: str, **given) -> HunyuanPortrait:
    bundle = bundle_of(*networks, **given)
    return HunyuanPortrait(bundle, RuntimeConfig(), FakeBackend(), SimpleNamespace(sessions={}))


@pytest.mark.parametrize(
    ("profile", "networks", "told"),
    [
        ("live", ["unet"], True),
        ("live", ["unet", "live_unet"], False),
        ("exact", ["unet"], False),
    ],
)
def test_one_step_of_a_denoiser_that_is_not_distilled_is_told_of(profile, networks, told):
    notes = model_of(*networks).notes(find_profile(profile))
    assert bool(notes) == told == any("is not distilled" in note for note in notes)


@pytest.mark.parametrize(("graphs", "decoder"), [((), "vae_decoder"), (("tiny_decoder",), "tiny_decoder")])
def test_a_bundle_without_a_small_decoder_is_told_of_and_runs_live_with_the_full_one(graphs, decoder):
    """Such as one of the published weights: nobody has published a small decoder for them."""
    model, live = model_of("unet", "live_unet", graphs=("live_denoiser", *graphs)), find_profile("live")
    assert model.roles(live)["decoder"] == decoder
    assert {call.graph for call in model.work(live, 20).graphs["decode"]} == {decoder}
    told = "this bundle has no small decoder: the full one takes its place, several times as slow; build with --live-w"
    assert [note.startswith(told) for note in model.notes(live)] == ([] if graphs else [True])
    asked = replace(live, decoder="tiny")
    assert model.roles(asked)["decoder"] == "tiny_decoder" and not model.notes(asked)


@pytest.mark.parametrize(
    ("profile", "sampling", "says"),
    [
        ("exact", {"steps": 0}, "steps needs a whole number of at least 1, got 0"),
        ("exact", {"step": 3}, "there is no sampling option step; did you mean steps?"),
        ("exact", {"skip_last": 4}, "skip_last 4 of 4 steps leaves none to execute"),  # the bundle has 4
        ("live", {"deep_every": 2}, "deep_every is for the full denoiser"),
        ("exact", {"deep_every": "often"}, "deep_every needs a whole number of at least 1, got 'often'"),
    ],
)
def test_a_profile_that_cannot_be_is_refused_in_words(profile, sampling, says):
    chosen = find_profile(profile)
    bundle = bundle_of("unet")
    HunyuanPortrait.check_sampling(bundle, chosen)
    with pytest.raises(InputError) as error:
        HunyuanPortrait.check_sampling(bundle, replace(chosen, sampling={**chosen.sampling, **sampling}))
    assert says in str(error.value)


@pytest.mark.parametrize(("source", "told"), [(OWN_SOURCE, True), ("a test", False), ("published", False)])
@pytest.mark.parametrize("photograph", [True, False])
def test_weights_that_know_drawings_alone_say_so_of_a_photograph(source, told, photograph, monkeypatch):
    encoder = model_of("unet", source=source)._portraits
    monkeypatch.setattr(encoder, "_geometry", {"crop_px": 32, "appearance_px": 16})
    monkeypatch.setattr(encoder, "_encode", lambda *_: None)
    monkeypatch.setattr("hp_trt.hunyuanportrait.portrait_encoder.photographed", lambda face: photograph)
    image = np.random.default_rng(0).integers(0, 256, (120, 100, 3), dtype=np.uint8)
    points = np.array([[40.0, 40], [60, 40], [50, 50], [42, 60], [58, 60]])
    face = Face(box=(30.0, 30.0, 40.0, 40.0), landmarks=points, score=1.0)
    notes = encoder.portrait(image, LandmarksFile([[face]], height=120, width=100), Stages()).notes
    assert bool(notes) == (told and photograph) == any("the portrait looks like a photograph" in note for note in notes)


def test_a_portrait_that_another_model_has_encoded_is_refused():
    with pytest.raises(InputError, match="this portrait was encoded by another model than this bundle's"):
        model_of("unet").check_portrait(portrait(3))


def test_work_is_that_of_the_profile_with_the_bundles_own_sampling():
    profile, own = find_profile("balanced"), {"steps": 4, "window": 5}  # the bundle's
    work = model_of("unet").work(profile, 50)
    assert work == profile_work(profile, Sampling(**own), 50)
    assert work.steps == sampling_of(own, profile).executed_steps == 3


def test_every_sampling_option_is_a_keyword_with_its_own_type():
    own, typed = get_type_hints(Sampling), get_type_hints(SamplingOptions)
    assert set(own) == HunyuanPortrait.options
    assert {name: hint for name, hint in own.items() if typed[name] not in (hint, hint | None)} == {}
