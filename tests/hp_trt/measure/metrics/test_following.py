from __future__ import annotations

import numpy as np
import pytest

from hp_trt.measure.metrics.following import (
    correlations,
    landmark_distance,
    landmark_drift,
    mean_correlation,
    mean_distance,
    moving,
    shape_tracks,
)

T = np.linspace(0, 6, 200)


def test_a_scaled_and_shifted_copy_follows_wholly_and_its_mirror_the_other_way():
    driver = np.stack([np.sin(T), np.cos(2 * T)], axis=1)
    np.testing.assert_allclose(correlations(driver * [0.1, -3] + 7, driver), [1, -1])


def test_it_is_pearsons():
    from scipy.stats import pearsonr

    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 50, 3))
    np.testing.assert_allclose(correlations(a, b), [pearsonr(a[:, i], b[:, i]).statistic for i in range(3)])


def test_what_stands_still_follows_nothing():
    driver = np.sin(T)[:, None]
    assert correlations(np.full_like(driver, 0.3), driver) == [0]
    assert correlations(np.full_like(driver, 0.1) * 3, driver) == [0], "rounding is no motion"


def test_only_what_the_driver_moves_counts():
    driver = np.stack([np.sin(T), 0.01 * np.cos(T)], axis=1)
    assert moving(driver, np.array([0.1, 0.1])).tolist() == [True, False]
    follows = np.stack([np.sin(T), -np.cos(T)], axis=1)
    assert mean_correlation(follows, driver, np.array([0.1, 0.1])) == pytest.approx(1)
    assert mean_correlation(follows, driver, 5.0) is None


def test_a_driver_that_does_not_move_is_our_mistake():
    with pytest.raises(ValueError, match="leave it out"):
        correlations(np.sin(T)[:, None], np.ones((200, 1)))


def test_a_head_that_is_carried_about_has_no_shape_tracks():
    face = np.random.default_rng(0).uniform(0, 100, (5, 2))
    carried = face + np.stack([T, T**2], axis=1)[:, None]
    assert shape_tracks(carried).shape == (200, 10)
    np.testing.assert_allclose(shape_tracks(carried).std(axis=0), 0, atol=1e-9)


def test_distances_are_means():
    points = np.zeros((3, 2, 2))
    moved = points.copy()
    moved[:, 0] = (3, 4)
    assert landmark_distance(moved, points) == 2.5
    assert mean_distance(np.array([[1.0, -2.0]]), np.array([[0.0, 0.0]])) == 1.5


def test_landmarks_that_run_away_are_told_by_how_far():
    truth = np.random.default_rng(0).normal(size=(30, 5, 2))
    away = truth.copy()
    away[:3] += [3, 4]  # of the first tenth, 5 off
    away[10:20] += 100  # of neither end
    away[-3:] += [6, 8]
    assert landmark_drift(away, truth) == pytest.approx(5)
    assert landmark_drift(truth, truth) == 0
