"""Calls counted by hand, window by window."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hp_trt.hunyuanportrait.work import profile_work
from hp_trt.profiles import Profile
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.work import clip_work, live_work
from runtime.live_windows import LiveWindows


def calls(work, stage):
    return {(call.graph, call.units): call.times for call in work.graphs[stage]}


def test_a_released_clip_of_100_frames_is_six_windows_of_two_rows_at_25_steps():
    work = clip_work(100, Sampling())
    # 130 frames with padding, a window every 22: 0, 22, ..., 110. g1 = g2, so two of three rows.
    assert work.windows == 6
    assert calls(work, "denoise") == {("step_embedding", 25): 1, ("denoiser", 2): 6 * 25}
    assert work.row_forwards == 300
    # Chunks of 8 from frame 0 of 130: those of 8..15 to 112..119 hold any of frames 15 to 114.
    assert calls(work, "decode") == {("vae_decoder", 8): 14}
    assert calls(work, "motion") == {("motion", 25): 4}


def test_the_last_group_of_driving_frames_is_what_is_left():
    assert calls(clip_work(60, Sampling()), "motion") == {("motion", 25): 2, ("motion", 10): 1}


def test_guidance_of_some_steps_only_makes_the_others_one_row():
    # Scales of 1 need the conditional row alone.
    one = clip_work(100, replace(Sampling(), guidance_appearance=(1.0, 1.0), guidance_motion=(1.0, 1.0)))
    assert calls(one, "denoise") == {("step_embedding", 25): 1, ("denoiser", 1): 150}
    ramp = clip_work(100, replace(Sampling(steps=4), guidance_appearance=(1.0, 2.0), guidance_motion=(1.0, 2.0)))
    # The ramp begins at 1: one step of one row, three of two.
    assert calls(ramp, "denoise") == {("step_embedding", 4): 1, ("denoiser", 1): 6, ("denoiser", 2): 18}


def test_a_stream_brings_size_less_overlap_frames_a_window_and_its_first_window_loses_the_lead_in():
    work = live_work(100, Sampling(steps=1), LiveWindows(size=8, overlap=1, lead_in=2))
    # 6 frames from the first, 7 from each later one: 6 + 14 x 7 = 104 >= 100 > 97.
    assert work.windows == 15
    assert work.new_frames == 7
    assert calls(work, "motion") == {("motion", 6): 1, ("motion", 7): 14}
    assert calls(work, "decode") == {
        ("tiny_decoder", 6): 1,
        ("tiny_decoder", 9): 14,
    }  # two frames of context from then on
    assert calls(work, "denoise")["live_denoiser", 2] == 15


def test_a_profile_chooses_graphs_and_its_steps_give_way_to_those_asked_for():
    profile = Profile(name="own", decoder="tiny", denoiser="distilled", sampling={"steps": 6, "skip_last": 1})
    work = profile_work(profile, Sampling(), 100)
    assert work.steps == 5
    assert ("live_denoiser", 2) in calls(work, "denoise")
    assert {graph for graph, _ in calls(work, "decode")} == {"tiny_decoder"}
    assert profile_work(profile, Sampling(), 100, steps=3).steps == 2
    assert profile_work(profile, Sampling(), 100, steps=1).steps == 1


def test_deep_features_are_made_on_some_steps_and_the_rest_of_the_denoiser_runs_on_all():
    profile = Profile(name="own", sampling={"steps": 5, "deep_every": 2})
    work = profile_work(profile, Sampling(), 100)
    # Steps 1, 3 and 5 of six windows
    assert calls(work, "denoise") == {
        ("step_embedding", 5): 1, ("denoiser_outer", 2): 30, ("denoiser_inner", 2): 18,
    }  # fmt: skip
    assert work.row_forwards == 60


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 61])
def test_every_live_frame_is_seen_once(frames):
    work = live_work(frames, Sampling(), LiveWindows(size=8, overlap=3, lead_in=2))
    brought = sum(units * times for (_, units), times in calls(work, "motion").items())
    assert frames <= brought < frames + work.new_frames or work.windows == 1
