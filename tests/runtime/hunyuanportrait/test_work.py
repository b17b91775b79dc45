"""How much a clip is, counted by hand, and what the released program would do for it."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import pytest

from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.work import Counted, clip_work, released_flops
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
        stage: sum(FLOPS[call.graph]["call"] * call.units * call.times * (call.total or 1) for call in calls)
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
    assert clip == Counted(frames=7, padded=13, windows=5, rows=(2, 3, 2), decoded=12)
    assert done(clip_work(7, sampling)) == {
        "portrait": 1000 + 200,
        "motion": 7 * 30,
        "denoise": (2 + 3 + 2) * 5 * 7 + 3 * 5,
        "stitch": 3 * 13 * 5 * 2,
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


@pytest.mark.parametrize("frames", [1, 2, 25, 50, 101])
def test_at_the_released_scales_a_third_of_the_rows_is_saved(frames):
    sampling = Sampling()
    clip = Counted.of(frames, sampling)
    assert clip.windows == ceil((frames + 30) / 22)
    assert clip.rows == (2,) * 25
    assert frames <= clip.decoded <= frames + 30
