"""Whether a clip does what its driver does: correlation over time, and distance.

A track is one number a frame: a pose or expression parameter, or a landmark's x or y. Tracks are columns of
(N, P) arrays.
"""

from __future__ import annotations

import numpy as np

from hp_trt.measure.metrics.steadiness import ends


def moving(tracks: np.ndarray, least_std: np.ndarray | float) -> np.ndarray:
    """(P,) bool: the columns of `tracks` (N, P) whose standard deviation over time is above `least_std` (P,)."""
    return tracks.std(axis=0) > least_std


def correlations(tracks: np.ndarray, driver: np.ndarray) -> np.ndarray:
    """(P,): Pearson's correlation over time of each column of `tracks` (N, P) with the driver's.

    A column of `tracks` that stands still follows nothing: 0, not undefined. The driver's columns must move.
    """
    a, b = tracks - tracks.mean(axis=0), driver - driver.mean(axis=0)
    lengths = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    if not (np.linalg.norm(b, axis=0) > 0).all():
        raise ValueError("a driver's track that does not move correlates with nothing; leave it out (`moving`)")
    still = np.linalg.norm(a, axis=0) <= 1e-6 * np.sqrt(len(a)) * np.maximum(np.abs(tracks).max(axis=0), 1e-6)
    return np.where(still, 0.0, (a * b).sum(axis=0) / np.where(still, 1.0, lengths))


def mean_correlation(tracks: np.ndarray, driver: np.ndarray, least_std: np.ndarray | float) -> float | None:
    """The mean over the driver's tracks that move; None where none does."""
    used = moving(driver, least_std)
    return float(correlations(tracks[:, used], driver[:, used]).mean()) if used.any() else None


def shape_tracks(landmarks: np.ndarray) -> np.ndarray:
    """(N, 2 K) from landmarks (N, K, 2): where each point is relative to the mean of its frame's points.

    So a head that is only carried about moves nothing here.
    """
    return (landmarks - landmarks.mean(axis=1, keepdims=True)).reshape(len(landmarks), -1)


def landmark_distance(landmarks: np.ndarray, truth: np.ndarray) -> float:
    """LMD: the mean distance of points (N, K, 2) from where they should be, in their unit."""
    return float(np.linalg.norm(landmarks - truth, axis=-1).mean())


def landmark_drift(landmarks: np.ndarray, truth: np.ndarray) -> float:
    """How much more the LMD is in the last tenth of N frames than in the first; points as in `landmark_distance`."""
    first, last = (landmark_distance(landmarks[part], truth[part]) for part in ends(len(landmarks)))
    return last - first


def mean_distance(values: np.ndarray, truth: np.ndarray) -> float:
    """The mean absolute difference of (N, P) numbers: AED of expression parameters, APD of pose parameters."""
    return float(np.abs(values - truth).mean())
