from __future__ import annotations

import numpy as np
import pytest

from procedural.variety.style import BACKDROPS, CLOTHS
from procedural.variety.textures import BY_NAME, backdrop, cloth


def test_every_backdrop_of_a_style_can_be_drawn():
    assert set(BY_NAME) == set(BACKDROPS)


@pytest.mark.parametrize("name", BACKDROPS)
def test_a_backdrop_is_the_seeds_and_no_other(name):
    one, again, other = (backdrop(name, seed, 48, 0.0, (0.3, -0.5, 0.8)) for seed in (5, 5, 6))
    assert (one.shape, one.dtype) == ((48, 48, 3), np.uint8)
    assert np.array_equal(one, again)
    assert np.abs(one.astype(int) - other).mean() > 3


@pytest.mark.parametrize("name", BACKDROPS)
def test_a_backdrop_out_of_focus_has_less_detail(name):
    def detail(blur: float) -> float:
        return float(np.abs(np.diff(backdrop(name, 3, 128, blur, (0.0, 0.0, 1.0)).astype(int), axis=1)).mean())

    assert detail(0.05) < detail(0.0)


@pytest.mark.parametrize("name", CLOTHS)
def test_cloth_is_about_one_and_more_so_with_less_contrast(name):
    strong, weak = (cloth(name, 4, 64, contrast) for contrast in (0.8, 0.1))
    assert strong.shape == (64, 64)
    assert 0.7 < weak.mean() < 1.3
    assert name == "plain" or strong.std() > weak.std()
