"""How much a clip or a stream is, counted by hand, and what the released program would do for it."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import pytest

from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.work import Counted, clip_work, live_work, released_flops
from runtime.live_windows import LiveWindows
from runtime.work import Work

FLOPS = {
    "appearance": {"call": 1000},
    "vae_encoder": {"call": 200},
    "motion": {"call": 30},
    "step_embedding": {"call": 5},
    "denoiser": {"call": 7, "released": 11},
    "stitch": {"call": 2},
    "vae_decoder": {"call": 13},
}


def done(work: Work) -> dict[str, int]:
    """FLOPs by stage: those of a unit, times the units."""
    return {
        stage: sum(FLOPS[call.graph]["call"] * call.units * call.times for call in calls)
        for stage, calls in work.graphs.items()
    }


def test_arithmetic_of_a_clip_worked_out_by_hand():
    # T = 7 + 2*3 = 13; a window every 5-2 = 3 frames: 5. Chunks of 4: [0,4) [4,8) [8,12) hold frames 3..9,
    # [12,13) holds none.
    # Row weights at the three steps, (1-g1, g1-g2, g2): (0,-1,2), (-.5,-.5,2), (-1,0,2).
    sampling = Sampling(
        steps=3, window=5, overlap=2, pad_frames=3, decode_chunk=4, guidance_appearance=(1, 2), guidance_motion=(2, 2)
    )
    clip = Counted.of(7, sampling)
    # Frames 0 to 11 are decoded; at the last step windows begin at -1, 2, ..., 11: none holds frame 12 alone.
    assert clip == Counted(frames=7, padded=13, windows=5, run=(5, 5, 5), rows=(2, 3, 2), decoded=12)
    assert done(clip_work(7, sampling)) == {
        "portrait": 1000 + 200,
        "motion": 7 * 30,
        "denoise": (2 + 3 + 2) * 5 * 7 + 3 * 5,
        "stitch": 3 * 5 * 2 * 2,  # windows, each frame the mean of at most two
        "decode": 12 * 13,
    }
    assert released_flops(clip, FLOPS) == {
        "portrait": 1000 + 2 * 200,
        "motion": 7 * 30,
        "denoise": 3 * 3 * 5 * 11,
        "stitch": 0,
        "decode": 13 * 13,
    }
    # With noise on it the portrait is encoded once more, and its picture twice then: with the noise and without.
    assert done(clip_work(7, replace(sampling, noise_aug_strength=0.1)))["portrait"] == 2 * 1000 + 3 * 200


def calls(work: Work, stage: str) -> dict[tuple[str, int], int]:
    """How often each graph is called with so many units."""
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


def test_deep_features_are_made_on_some_steps_and_the_rest_of_the_denoiser_runs_on_all():
    work = clip_work(100, Sampling(steps=5, deep_every=2), denoiser="denoiser_outer", inner="denoiser_inner")
    # Steps 1, 3 and 5 of six windows
    found = {("step_embedding", 5): 1, ("denoiser_outer", 2): 30, ("denoiser_inner", 2): 18}
    assert calls(work, "denoise") == found
    assert work.row_forwards == 60


def test_a_stream_brings_size_less_overlap_frames_a_window_and_its_first_window_loses_the_lead_in():
    work = live_work(100, Sampling(steps=1), LiveWindows(size=8, overlap=1, lead_in=2))
    # 6 frames from the first, 7 from each later one: 6 + 14 x 7 = 104 >= 100 > 97.
    assert work.windows == 15
    assert work.new_frames == 7
    assert calls(work, "motion") == {("motion", 6): 1, ("motion", 7): 14}
    # Two frames of context from the second window on
    assert calls(work, "decode") == {("tiny_decoder", 6): 1, ("tiny_decoder", 9): 14}
    assert calls(work, "denoise")["live_denoiser", 2] == 15


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 61])
def test_every_live_frame_is_seen_once(frames):
    work = live_work(frames, Sampling(), LiveWindows(size=8, overlap=3, lead_in=2))
    brought = sum(units * times for (_, units), times in calls(work, "motion").items())
    assert frames <= brought < frames + work.new_frames or work.windows == 1


@pytest.mark.parametrize("frames", [1, 2, 25, 50, 101])
def test_at_the_released_scales_a_third_of_the_rows_is_saved(frames):
    sampling = Sampling()
    clip = Counted.of(frames, sampling)
    assert clip.windows == ceil((frames + 30) / 22)
    assert clip.rows == (2,) * 25
    assert frames <= clip.decoded <= frames + 30
