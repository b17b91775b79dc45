"""The distance of two clouds of features, as FID and FVD measure it between generated and true pictures or clips.

Source: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", 2017;
Dowson and Landau, "The Fréchet distance between multivariate normal distributions", 1982. Written here because the
libraries that have it (torchmetrics among them) need PyTorch.
"""

from __future__ import annotations

import numpy as np


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Between the Gaussians fitted to features (n, D) and (m, D), n and m at least 2; never negative.

    Below about D samples the covariances are singular: defined still, but far above what many samples would give.
    """
    one, other = (np.asarray(features, np.float64) for features in (one, other))
    return gaussian_distance(one.mean(axis=0), _covariance(one), other.mean(axis=0), _covariance(other))


def gaussian_distance(mean: np.ndarray, covariance: np.ndarray, mean2: np.ndarray, covariance2: np.ndarray) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2), means (D,), covariances (D, D)."""
    root = _root(covariance)
    # The same trace as of (C1 C2)^1/2, but of a symmetric matrix, whose eigenvalues are real and stable.
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root @ covariance2 @ root), 0, None)).sum()
    distance = ((mean - mean2) ** 2).sum() + np.trace(covariance) + np.trace(covariance2) - 2 * shared
    return float(max(distance, 0.0))


def _covariance(features: np.ndarray) -> np.ndarray:
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"a covariance needs at least two rows of features, got an array {features.shape}")
    return np.atleast_2d(np.cov(features, rowvar=False))


def _root(matrix: np.ndarray) -> np.ndarray:
    """The symmetric root of a symmetric positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
