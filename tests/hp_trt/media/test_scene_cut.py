from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from hp_trt.media.scene_cut import changed, thumbnail
from procedural.clip import clip


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return clip(3, frames=26, px=240).frames()


def test_one_shot_stays_one_shot_and_another_is_another(pictures):
    cells = [thumbnail(picture) for picture in pictures]
    other = thumbnail(clip(8, frames=1, px=240).frames()[0])
    assert max(changed(a, b) for a, b in pairwise(cells)) < 0.05
    assert changed(cells[0], other) > 0.3


@pytest.mark.parametrize(("gain", "offset"), [(0.3, 0), (0.6, 100), (1.0, 60), (1.2, -20)])
def test_a_flash_or_a_fade_is_no_other_shot(pictures, gain, offset):
    lit = np.clip(pictures[0] * gain + offset, 0, 255).astype(np.uint8)
    assert changed(thumbnail(pictures[0]), thumbnail(lit)) < 0.15


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 900, 3), (500, 2, 3)])
def test_pictures_of_any_shape_have_one_and_those_of_one_colour_none(shape):
    assert thumbnail(np.full(shape, 90, np.uint8)) is None
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert changed(thumbnail(noise), None) == 0
