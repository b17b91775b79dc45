"""A profile's choices, as calls of graphs."""

from __future__ import annotations

from hp_trt.hunyuanportrait.work import profile_work
from hp_trt.profiles import Profile
from runtime.hunyuanportrait.sampling import Sampling


def test_a_profile_chooses_graphs_and_its_steps_give_way_to_those_asked_for():
    profile = Profile(name="own", decoder="tiny", denoiser="distilled", sampling={"steps": 6, "skip_last": 1})
    work = profile_work(profile, Sampling(), 100)
    assert work.steps == 5
    assert {call.graph for call in work.graphs["denoise"]} == {"step_embedding", "live_denoiser"}
    assert {call.graph for call in work.graphs["decode"]} == {"tiny_decoder"}
    assert profile_work(profile, Sampling(), 100, steps=3).steps == 2
    assert profile_work(profile, Sampling(), 100, steps=1).steps == 1


def test_a_profile_that_reuses_deep_features_calls_the_denoiser_in_two_parts():
    work = profile_work(Profile(name="own", sampling={"deep_every": 2}), Sampling(), 100)
    assert {call.graph for call in work.graphs["denoise"]} == {"step_embedding", "denoiser_outer", "denoiser_inner"}
    assert work.kept == "denoiser_inner"
