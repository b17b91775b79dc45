"""How close a clip is to the true one: PSNR and SSIM by scikit-image.

Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural
similarity", 2004 (SSIM with a Gaussian of 1.5 pixels).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log10

import numpy as np

from engines.errors import InputError

FULL_RANGE = 255


def require_alike(clip: Sequence[np.ndarray], truth: Sequence[np.ndarray], what: str = "the clip") -> None:
    """Raise InputError unless both have as many frames, all of one size."""
    if not len(clip) or len(clip) != len(truth):
        raise InputError(
            f"{what} has {len(clip)} frames and what it is compared with {len(truth)}; "
            "needed are as many, at least one: compare clips made of one driving video"
        )
    sizes = sorted({frame.shape[:2] for frame in (*clip, *truth)})
    if len(sizes) > 1:
        found = ", ".join(f"{width} x {height}" for height, width in sizes)
        raise InputError(f"{what} and what it is compared with have frames of {found} pixels; needed is one size")


def psnr(clip: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> float:
    """dB, of the squared error's mean over all frames; infinite where nothing differs."""
    error = mean_squared_error(clip, truth)
    return 10 * log10(FULL_RANGE**2 / error) if error else inf


def mean_squared_error(clip: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> float:
    """In squared levels of 255."""
    from skimage import metrics

    require_alike(clip, truth)
    return float(np.mean([metrics.mean_squared_error(a, b) for a, b in zip(clip, truth, strict=True)]))


def ssim(clip: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> float:
    """Mean over frames and colours, at most 1. Frames of at least 11 x 11 pixels."""
    from skimage.metrics import structural_similarity

    require_alike(clip, truth)
    published = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(
        np.mean(
            [
                structural_similarity(a, b, channel_axis=2, data_range=FULL_RANGE, **published)
                for a, b in zip(clip, truth, strict=True)
            ]
        )
    )
