"""Options are checked when they are given, and say what to do."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import InputError
from runtime.hallo2.sampling import Sampling


def test_the_defaults_are_the_released_ones():
    s = Sampling()
    assert (s.steps, s.guidance, s.motion_weights, s.mask_rate, s.seed) == (40, 3.5, (1.0, 1.0, 1.0), 0.25, 42)
    assert (s.decode_chunk, s.scaling_factor, s.mood_weights, s.join) == (8, 0.18215, None, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps needs a whole number of at least 1, got 0"),
        ({"steps": 2.5}, r"steps needs a whole number of at least 1, got 2\.5"),
        ({"steps": 1001}, "steps can be at most 1000, got 1001; the network was trained with so many noise levels"),
        ({"steps": True}, "steps needs a whole number"),
        ({"guidance": 0.5}, "guidance can be 1 to 1000, got 0.5; 1 is the conditional half alone, and below it"),
        ({"guidance": float("nan")}, "guidance needs a finite number, got nan"),
        ({"guidance": float("inf")}, "guidance needs a finite number, got inf"),
        ({"guidance": "3"}, "guidance needs a finite number, got '3'"),
        ({"guidance": 1e9}, "guidance can be 1 to 1000"),
        ({"motion_weights": 1.0}, "motion_weights needs three numbers, for pose, face and lips, got 1.0"),
        ({"motion_weights": (1, 1)}, r"motion_weights needs three numbers, for pose, face and lips, got \(1, 1\)"),
        ({"motion_weights": (1, 1, float("nan"))}, "motion_weights needs three numbers"),
        ({"motion_weights": (1, 1, 1e6)}, "motion_weights can be -1000 to 1000"),
        ({"mask_rate": 1.1}, "mask_rate must be 0 to 1, got 1.1"),
        ({"mask_rate": -0.1}, "mask_rate must be 0 to 1, got -0.1"),
        ({"seed": -1}, "seed needs a whole number of at least 0, got -1"),
        ({"seed": 2**32}, "seed can be at most 4294967295, got 4294967296; the generator, MT19937, is seeded with one"),
        ({"decode_chunk": 0}, "decode_chunk needs a whole number of at least 1"),
        ({"join": 1}, "join needs true or false, got 1"),
        ({"join": "yes"}, "join needs true or false, got 'yes'"),
        ({"mood_weights": 1.0}, "mood_weights needs 6 numbers, of neutral, happy, .*, sleepy, got 1.0"),
        ({"mood_weights": (1, 0, 0)}, r"mood_weights needs 6 numbers, .*, got \(1, 0, 0\)"),
        ({"mood_weights": (1, 0, 0, 0, 0, float("nan"))}, "mood_weights needs 6 numbers"),
        ({"mood_weights": (0, 0, 0, 0, 0, 1.5)}, "mood_weights can be 0 to 1 each"),
        ({"mood_weights": [1, 0, 0, 0, 0, -0.1]}, "mood_weights can be 0 to 1 each"),
        ({"scaling_factor": 0}, "scaling_factor must be 1e-06 to 1e.06, got 0"),
    ],
)
def test_a_wrong_option_says_what_is_needed(options, message):
    with pytest.raises(InputError, match=message):
        Sampling(**options)


def test_guidance_is_a_weight_for_each_half():
    assert Sampling(guidance=3.5).row_weights == (-2.5, 3.5)
    assert Sampling(guidance=1).row_weights == (0, 1)


def test_a_bundle_gives_the_defaults_and_the_caller_overrides_them():
    s = Sampling.from_manifest({"steps": 4, "motion_weights": [1, 0.5, 2]}, steps=6, seed=None)
    assert (s.steps, s.motion_weights, s.seed) == (6, (1.0, 0.5, 2.0), 42)


def test_numbers_of_numpy_become_pythons():
    s = Sampling(steps=np.int64(4), guidance=np.float32(2), mood_weights=[np.float32(1), 0, 0, 0, 0, 0])
    assert (type(s.steps), type(s.guidance), type(s.mood_weights[0])) == (int, float, float)


@pytest.mark.parametrize(("name", "near"), [("step", "steps"), ("guidence", "guidance"), ("mask", "mask_rate")])
def test_an_unknown_option_is_answered_with_the_nearest(name, near):
    with pytest.raises(InputError, match=f"no sampling option {name}; did you mean {near}"):
        Sampling.from_manifest({}, **{name: 1})
