"""The schedule against the released scheduler, whatever cases lie in the golden folder."""

from __future__ import annotations

import numpy as np

from runtime import schedule
from tests.golden_cases import NETWORK_TOLERANCE, check, golden_cases, load_case


@golden_cases(kind="schedule")
def test_the_schedule_matches_the_released_scheduler(case_name):
    case = load_case(case_name)
    limits = {name: case.config[name] for name in ("sigma_min", "sigma_max", "rho")}
    sigmas = schedule.sigmas(case.options["num_inference_steps"], **limits)
    # Equal bit for bit on the machine that recorded them; another libm's pow may round the last bit the other way.
    np.testing.assert_allclose(sigmas, case.outputs["sigmas"], rtol=2 * np.finfo(np.float32).eps)

    # Before step i, x is what was recorded after step i - 1: each step is judged alone.
    x = np.concatenate([case.inputs["x0"][None], case.outputs["prev"][:-1]])
    v = case.inputs["model_outputs"]
    numbers = (-1, *[1] * (x.ndim - 1))
    a, b = (c.reshape(numbers) for c in schedule.euler_coefficients(sigmas))
    to_clean = [schedule.euler_coefficients(np.array([sigma, 0], np.float32)) for sigma in sigmas[:-1]]
    clean = [a0 * xi + b0 * vi for (a0, b0), xi, vi in zip(to_clean, x, v, strict=True)]
    original, noise = case.inputs["add_noise_original"], case.inputs["add_noise_noise"]
    noised = [schedule.add_noise(original, noise, sigmas[i]) for i in case.options["add_noise_at"]]
    results = {
        "sigmas": sigmas,
        "timesteps": schedule.timesteps(sigmas),
        "init_noise_sigma": np.array([limits["sigma_max"]]),
        "scaled": schedule.input_scales(sigmas).reshape(numbers) * x,
        "pred_x0": np.stack(clean),
        "noised": np.concatenate(noised)[:, None].reshape(case.outputs["noised"].shape),
    }
    check(case, results, NETWORK_TOLERANCE, only=case.outputs.keys() - {"prev"})

    # The released step adds and takes away (x - x0) in float32, so it carries two roundings of x itself, however
    # small the result (n = 1: |x| up to 2000, result about 1). Ours has nothing to cancel.
    roundings = 2 * np.finfo(np.float32).eps * np.abs(x).max()
    error = np.abs(a * x + b * v - case.outputs["prev"]).max()
    assert error <= NETWORK_TOLERANCE * case.facts["outputs"]["prev"]["scale"] + roundings
