"""Noise levels and Euler's two numbers."""

from __future__ import annotations

import numpy as np
import pytest

from runtime import schedule


def test_a_single_step_goes_from_the_most_noise_to_none():
    np.testing.assert_array_equal(schedule.sigmas(1), np.array([700, 0], np.float32))


@pytest.mark.parametrize("steps", [1, 2, 7, 25, 100])
def test_noise_only_falls(steps):
    sigmas = schedule.sigmas(steps)
    assert sigmas.shape == (steps + 1,)
    assert sigmas.dtype == np.float32
    assert (np.diff(sigmas) < 0).all()
    assert sigmas[-1] == 0


@pytest.mark.parametrize("steps", [1, 4, 25])
def test_the_two_numbers_are_the_released_step_collected(steps):
    """Against the step as SPEC 5 writes it, in float64."""
    rng = np.random.default_rng(0)
    sigmas = schedule.sigmas(steps)
    a, b = schedule.euler_coefficients(sigmas)
    for i, (sigma, following) in enumerate(zip(sigmas[:-1].astype(float), sigmas[1:].astype(float), strict=True)):
        x, v = sigma * rng.standard_normal(50), rng.standard_normal(50)
        x0 = -sigma / np.sqrt(sigma**2 + 1) * v + x / (sigma**2 + 1)
        stepped = x + (x - x0) / sigma * (following - sigma)
        # a and b are float32: 6e-8 of each product, sigma * 6e-8 where they are as large as x
        np.testing.assert_allclose(a[i] * x + b[i] * v, stepped, rtol=1e-6, atol=2e-7 * max(sigma, 1))


def test_the_last_step_gives_the_clean_prediction():
    a, b = schedule.euler_coefficients(np.array([2.0, 0.0], np.float32))
    assert a[0] == pytest.approx(1 / 5)
    assert b[0] == pytest.approx(-2 / np.sqrt(5))


def test_strength_keeps_the_last_steps():
    sigmas = schedule.sigmas(4)
    np.testing.assert_array_equal(schedule.executed(sigmas, 2), sigmas[2:])
    np.testing.assert_array_equal(schedule.executed(sigmas, 4), sigmas)


def test_noise_is_added_in_float32_and_broadcast_over_frames():
    clean, noise = np.ones((1, 4, 2, 2), np.float32), np.full((3, 4, 2, 2), 2, np.float32)
    noised = schedule.add_noise(clean, noise, schedule.sigmas(1)[0])
    assert noised.dtype == np.float32
    assert noised.shape == (3, 4, 2, 2)
    assert (noised == 1401).all()


@pytest.mark.parametrize("name", sorted(schedule.SCHEDULES))
@pytest.mark.parametrize("steps", [1, 2, 10, 25])
def test_every_schedule_falls_from_the_most_noise_to_none(name, steps):
    sigmas = schedule.SCHEDULES[name](steps)
    assert sigmas.shape == (steps + 1,)
    assert sigmas.dtype == np.float32
    assert sigmas[0] == pytest.approx(700, rel=1e-6)
    assert sigmas[-1] == 0
    assert (np.diff(sigmas) < 0).all()


def test_ten_aligned_steps_are_the_published_ones():
    published = [700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0]
    np.testing.assert_allclose(schedule.align_your_steps(10), published, rtol=1e-6)
    np.testing.assert_allclose(schedule.align_your_steps(2), [700, 1.789, 0], rtol=1e-6)


def test_exponential_levels_have_one_ratio():
    sigmas = schedule.exponential(5)[:-1]
    np.testing.assert_allclose(sigmas[1:] / sigmas[:-1], (0.002 / 700) ** (1 / 4), rtol=1e-6)


def test_leaving_the_last_level_out_steps_from_the_one_above_to_the_end():
    np.testing.assert_array_equal(schedule.without_last(schedule.sigmas(3), 0), schedule.sigmas(3))
    np.testing.assert_array_equal(schedule.without_last(schedule.sigmas(3), 1), schedule.sigmas(3)[[0, 1, 3]])
    np.testing.assert_array_equal(schedule.without_last(schedule.sigmas(3), 2), [700, 0])
