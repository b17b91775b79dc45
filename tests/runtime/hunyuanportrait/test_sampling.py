"""Options are checked when they are given, and say what to do."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import InputError
from runtime.hunyuanportrait.sampling import Sampling


def test_the_defaults_are_the_released_ones():
    s = Sampling()
    assert (s.steps, s.window, s.overlap, s.shift, s.pad_frames, s.decode_chunk) == (25, 25, 3, 3, 15, 8)
    assert (s.guidance_appearance, s.guidance_motion, s.seed) == ((2.0, 2.0), (2.0, 2.0), 72580)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps needs a whole number of at least 1, got 0"),
        ({"steps": 2.5}, r"steps needs a whole number of at least 1, got 2\.5"),
        ({"steps": True}, "steps needs a whole number"),
        ({"strength": 0}, "strength must be above 0 and at most 1, got 0"),
        ({"strength": 1.2}, "strength must be above 0 and at most 1"),
        ({"strength": 0.05, "steps": 10}, "leaves none to execute; needs at least 0.1, or more steps"),
        ({"overlap": 25}, "overlap must be shorter than the window, got 25 of 25; lower the overlap"),
        ({"guidance_motion": 2.0}, "guidance_motion needs two numbers, for the first and the last step"),
        ({"guidance_motion": (2.0, float("nan"))}, "guidance_motion needs two numbers"),
        ({"noise_aug_strength": -1}, "noise_aug_strength must be 0 to 700, got -1"),
        (
            {"noise_aug_strength": 10**400},
            "noise_aug_strength needs a finite number, got a number of more than 60 digits",
        ),
        ({"guidance_appearance": (2.0, 1e308)}, "guidance_appearance needs two numbers"),
        ({"window": 10**9}, "window can be at most 10000, got 1000000000"),
        ({"seed": 10**30}, "seed can be at most 18446744073709551615"),
        ({"schedule": []}, r"there is no schedule \[\]; there are: karras"),
        ({"fps": float("inf")}, "fps needs a finite number, got inf"),
        ({"seed": -1}, "seed needs a whole number of at least 0, got -1"),
        ({"skip_last": 3, "steps": 3}, "skip_last 3 of 3 steps leaves none to execute; lower it, or take more steps"),
        ({"skip_last": 1, "steps": 4, "strength": 0.3}, "strength 0.3 of 4 steps leaves none .* needs at least 0.5"),
        (
            {"schedule": "karas"},
            "there is no schedule 'karas'; did you mean karras. There are: karras, ays",
        ),
        ({"guidance_interval": (5, 1)}, r"guidance_interval needs two noise levels, the lower one first, got \(5, 1\)"),
        ({"decode_chunk": 0}, "decode_chunk needs a whole number of at least 1"),
    ],
)
def test_a_wrong_option_says_what_is_needed(options, message):
    with pytest.raises(InputError, match=message):
        Sampling(**options)


def test_strength_executes_whole_steps():
    assert Sampling(steps=4, strength=0.7).executed_steps == 2
    assert Sampling(steps=25).executed_steps == 25


def test_a_bundle_gives_the_defaults_and_the_caller_overrides_them():
    s = Sampling.from_manifest({"steps": 4, "window": 8, "guidance_motion": [1, 3]}, steps=6, seed=None)
    assert (s.steps, s.window, s.guidance_motion, s.seed) == (6, 8, (1.0, 3.0), 72580)


@pytest.mark.parametrize(("name", "near"), [("step", "steps"), ("guidence_motion", "guidance_motion"), ("fsp", "fps")])
def test_an_unknown_option_is_answered_with_the_nearest(name, near):
    with pytest.raises(InputError, match=f"no sampling option {name}; did you mean {near}"):
        Sampling.from_manifest({}, **{name: 1})


def test_the_executed_levels_are_the_schedules_less_what_is_left_out_at_either_end():
    whole = Sampling(steps=4).sigmas()
    np.testing.assert_array_equal(Sampling(steps=4, strength=0.75).sigmas(), whole[1:])
    np.testing.assert_array_equal(Sampling(steps=4, skip_last=1).sigmas(), whole[[0, 1, 2, 4]])
    np.testing.assert_array_equal(Sampling(steps=4, strength=0.75, skip_last=2).sigmas(), whole[[1, 4]])
    assert Sampling(steps=4, strength=0.75, skip_last=2).executed_steps == 1


def test_guidance_is_used_between_two_noise_levels_alone():
    sampling = Sampling(steps=3, guidance_interval=(1, 100))  # levels 700, 15.6, 0.002
    assert [len(step.rows) for step in sampling.guidance()] == [1, 2, 1]
    assert [len(step.rows) for step in Sampling(steps=3).guidance()] == [2, 2, 2]
