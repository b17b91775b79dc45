"""The guard behind every stage: a NaN must not travel on, silently, into somebody's video."""

from __future__ import annotations

import numpy as np

from engines.errors import NonFiniteError


def is_finite(array: np.ndarray) -> bool:
    return bool(np.isfinite(array).all())


def require_finite(array: np.ndarray, what: str) -> np.ndarray:
    """`array` itself. Raises NonFiniteError that says `what`: the stage, and where in it."""
    if not is_finite(array):
        bad = int(array.size - np.isfinite(array).sum())
        raise NonFiniteError(
            f"{what}: {bad} of {array.size} values are NaN or infinite, all must be finite; "
            "if the bundle is fp16, build it with --precision fp32"
        )
    return array


def require_finite_frames(sums: np.ndarray, what: str) -> None:
    """Raises NonFiniteError that says `what` and how many of its frames are not to be shown, by the sums that a
    decoder's graph gives of them."""
    if not is_finite(sums):
        bad = int(sums.size - np.isfinite(sums).sum())
        raise NonFiniteError(
            f"{what}: {bad} of {sums.size} frames hold values that are NaN or infinite, all must be finite; "
            "if the bundle is fp16, build it with --precision fp32"
        )
