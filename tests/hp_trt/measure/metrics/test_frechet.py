from __future__ import annotations

import numpy as np
import pytest

from hp_trt.measure.metrics.frechet import frechet_distance, gaussian_distance


def test_of_independent_features_it_is_the_closed_form():
    # Of diagonal covariances: the means' squared distance and the squared differences of standard deviations.
    means, stds = np.array([[0.0, 1, -2], [3.0, 1, 0]]), np.array([[1.0, 2, 0.5], [4.0, 0, 0.5]])
    expected = ((means[0] - means[1]) ** 2).sum() + ((stds[0] - stds[1]) ** 2).sum()
    found = gaussian_distance(means[0], np.diag(stds[0] ** 2), means[1], np.diag(stds[1] ** 2))
    assert found == pytest.approx(expected)


def test_it_does_not_depend_on_the_axes():
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    stds, stds2 = rng.uniform(0.5, 2, (2, 4))
    found = gaussian_distance(
        np.zeros(4), turn @ np.diag(stds**2) @ turn.T, np.zeros(4), turn @ np.diag(stds2**2) @ turn.T
    )
    assert found == pytest.approx(((stds - stds2) ** 2).sum())


def test_it_is_the_formula_with_a_matrix_root():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 40, 5)) @ rng.standard_normal((2, 5, 5)) + 1
    c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c + d - 2 * sqrtm(c @ d).real)
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_a_cloud_is_no_distance_from_itself_and_a_shift_is_its_square():
    cloud = np.random.default_rng(2).standard_normal((7, 16))  # fewer samples than features: singular
    assert frechet_distance(cloud, cloud) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(cloud, cloud + 0.5) == pytest.approx(16 * 0.25, abs=1e-6)


def test_large_clouds_of_two_gaussians_come_near_their_true_distance():
    rng = np.random.default_rng(3)
    one, other = rng.normal(0, 1, (20_000, 2)), rng.normal(2, 3, (20_000, 2))
    assert frechet_distance(one, other) == pytest.approx(2 * (4 + 4), rel=0.03)


def test_one_row_has_no_covariance():
    with pytest.raises(ValueError, match="at least two rows"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
