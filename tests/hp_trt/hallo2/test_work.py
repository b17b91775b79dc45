"""A profile as calls of graphs, and what the released program would do for the same sound."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hp_trt.hallo2.profiles import PROFILES
from hp_trt.hallo2.work import profile_work, released_flops
from runtime.hallo2.live_speech import CONTEXT_S
from runtime.hallo2.presets import FPS
from runtime.hallo2.sampling import Sampling

SIZES = {"clip": 16, "motion_frames": 2}
OWN = Sampling()


def calls(work, stage):
    return {(call.graph, call.units): call.times for call in work.graphs[stage]}


def test_the_exact_profile_runs_both_halves_forty_times_a_clip():
    work = profile_work(PROFILES.find("exact"), OWN, 100, **SIZES)
    assert (work.mode, work.steps, work.rows) == ("clip", 40, 80)
    assert calls(work, "denoise") == {("talk_steps", 40): 1, ("talk_denoiser", 1): 7 * 40}
    assert work.host == {"portrait_crop": 1, "write": 100}


def test_what_is_heard_is_one_stage_as_clips_ask_for_it():
    work = profile_work(PROFILES.find("exact"), OWN, 100, **SIZES)
    assert calls(work, "speech") == {("speech_encoder", 112): 1, ("audio_tokens", 16): 7}
    assert "audio_tokens" not in work.graphs


def test_guidance_1_is_the_conditional_half_alone():
    one = replace(PROFILES.find("exact"), sampling={"guidance": 1.0})
    work = profile_work(one, OWN, 100, **SIZES, steps=4)
    assert (work.steps, work.rows) == (4, 4)
    assert calls(work, "denoise") == {("talk_steps", 4): 1, ("talk_denoiser_one", 1): 7 * 4}
    assert calls(work, "reference") == {("reference", 2): 7}


def test_a_live_session_encodes_what_was_heard_last_for_every_clip():
    work = profile_work(PROFILES.find("live"), OWN, 100, **SIZES)
    assert (work.mode, work.windows, work.new_frames) == ("live", 7, 16)
    assert calls(work, "speech") == {("speech_encoder", round(CONTEXT_S * FPS)): 7, ("audio_tokens", 16): 7}


def test_the_released_program_makes_the_portrait_anew_for_every_clip_and_both_halves_always():
    flops = {
        "talk_identity": {"call": 1},
        "talk_vae_encoder": {"call": 10},
        "reference": {"call": 100, "released": 110},
        "speech_encoder": {"call": 2},
        "audio_tokens": {"call": 3},
        "talk_denoiser": {"call": 1000, "released": 1200},
        "talk_vae_decoder": {"call": 7},
    }
    made = released_flops(33, replace(OWN, steps=5, guidance=1.0), flops, **SIZES)
    # Three clips of 16 frames: 1 + 2 pictures and 6 rows each
    assert made == {
        "portrait": 3 * (16 * 1 + 10 + 2 * 110),
        "speech": 48 * 2 + 48 * 3,
        "motion_frames": 3 * 2 * 10,
        "reference": 3 * 4 * 110,
        "denoise": 3 * 5 * 1200,
        "stitch": 0,
        "decode": 48 * 7,
    }


def test_a_clip_of_the_published_size_is_the_published_arithmetic():
    """SPEC 11 and flops.json: 2206.6 TFLOP as released, of 40 steps."""
    flops = {
        "talk_identity": {"call": 138_915_348_480 // 16},
        "talk_vae_encoder": {"call": 1_116_658_466_816},
        "reference": {"call": 0, "released": 4_782_045_265_920 // 6},
        "speech_encoder": {"call": 647_603_214_336 // 1500},
        "audio_tokens": {"call": 1_166_016_512 // 16},
        "talk_denoiser": {"call": 0, "released": 53_951_847_464_960},
        "talk_vae_decoder": {"call": 2_514_518_933_504},
    }
    made = released_flops(16, OWN, flops, **SIZES)
    assert sum(made.values()) == pytest.approx(2_206_578_303_565_824, rel=1e-5)
