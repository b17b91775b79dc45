from __future__ import annotations

from math import inf, log10

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.measure.metrics.fidelity import mean_squared_error, psnr, require_alike, ssim


def clip(frames: int = 4, px: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(20, 200, (frames, px, px, 3), dtype=np.uint8)


def test_psnr_is_the_plain_formula_over_all_frames():
    one, other = clip(seed=0), clip(seed=1)
    error = ((one.astype(float) - other) ** 2).mean()
    assert psnr(one, other) == pytest.approx(10 * log10(255**2 / error))


def test_a_shift_by_five_levels_is_an_error_of_25():
    assert mean_squared_error(clip(), clip() + np.uint8(5)) == 25


def test_nothing_differs_without_end():
    assert psnr(clip(), clip()) == inf
    assert ssim(clip(), clip()) == pytest.approx(1)


def test_ssim_is_the_published_formula():
    from scipy.ndimage import correlate1d

    one, other = clip(1)[0], clip(1, seed=1)[0]
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    taps /= taps.sum()

    def blurred(plane):
        return correlate1d(correlate1d(plane, taps, axis=0), taps, axis=1)[5:-5, 5:-5]  # windows inside the picture

    values = []
    for c in range(3):
        x, y = one[:, :, c].astype(float), other[:, :, c].astype(float)
        mx, my = blurred(x), blurred(y)
        vx, vy, vxy = blurred(x * x) - mx * mx, blurred(y * y) - my * my, blurred(x * y) - mx * my
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        values.append(((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())
    assert ssim([one], [other]) == pytest.approx(np.mean(values), abs=1e-9)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (clip(3), "has 4 frames and what it is compared with 3"),
        (clip(0), "with 0"),
        (clip(px=32), "frames of 24 x 24, 32 x 32 pixels"),
    ],
)
def test_clips_of_another_length_or_size_are_refused_in_one_line(other, says):
    with pytest.raises(InputError, match=says) as told:
        require_alike(clip(), other)
    assert "\n" not in str(told.value)
