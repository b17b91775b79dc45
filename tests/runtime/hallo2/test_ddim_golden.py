"""DDIM's levels and steps against the released scheduler."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.hallo2 import ddim
from tests.golden_cases import HALLO2_FOLDER, HALLO2_SHIPPED, check, discover, golden_cases, load_case

TOLERANCE = 1e-4  # the released scheduler computes in float32: 4e-6 apart


def test_there_are_golden_schedules():
    assert discover(targets=["ddim"], folder=HALLO2_SHIPPED)


@golden_cases(kind="schedule", targets=["ddim"], folder=HALLO2_FOLDER)
def test_ddim_matches_its_golden_case(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    steps = case.options["num_inference_steps"]
    before, after = ddim.alphas(steps)
    a, b = ddim.coefficients(steps)
    assert a.dtype == b.dtype == np.float32
    x, latents, clean = case.inputs["latents"], [], []
    for i, v in enumerate(case.inputs["model_outputs"]):
        clean.append(np.sqrt(before[i]) * x - np.sqrt(1 - before[i]) * v)
        x = a[i] * x + b[i] * v
        latents.append(x)
    results = {
        "timesteps": ddim.timesteps(steps),
        "previous_timesteps": ddim.previous_timesteps(steps),
        "alphas_cumprod": ddim.alphas_cumprod(),
        "alpha_t": before,
        "alpha_previous": after,
        "latents_after_step": np.stack(latents),
        "pred_x0": np.stack(clean),
    }
    check(case, results, TOLERANCE)


def test_the_last_level_is_pure_noise_and_the_first_step_knows_nothing_of_the_picture():
    assert ddim.alphas_cumprod()[-1] == 0
    a, b = ddim.coefficients(40)
    after = ddim.alphas(40)[1][0]
    np.testing.assert_allclose([a[0], b[0]], [np.sqrt(1 - after), -np.sqrt(after)], rtol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 40, 48, 61, 600, 999, 1000])
def test_any_number_of_steps_falls_from_the_noisiest_level_to_a_clean_one(steps):
    t, previous = ddim.timesteps(steps), ddim.previous_timesteps(steps)
    assert (len(t), t[0]) == (steps, 999)
    assert (np.diff(t) < 0).all()
    assert t[-1] >= 0
    before, after = ddim.alphas(steps)
    assert (after > before).all()
    assert (after[previous < 0] == 1).all()


def test_where_two_levels_are_as_near_the_released_sum_decides():
    # Three steps of 1000/48 from 1000 are 937.5, which half to even would make 938; the released sum falls short of it.
    assert ddim.timesteps(48)[3] == 937 - 1
    assert len(ddim.timesteps(61)) == 61
