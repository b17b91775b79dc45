from __future__ import annotations

import numpy as np
import pytest

from hp_trt.hallo2.masks import masks, soft_picture
from hp_trt.hallo2.regions import Regions

REGIONS = Regions(face=(48, 40, 160, 190), lips=(84, 150, 120, 172))


@pytest.mark.parametrize(("side_px", "levels"), [(64, 1), (128, 4), (192, 2), (512, 3)])
def test_every_level_has_a_mask_of_its_cells(side_px, levels):
    made = masks(REGIONS, height=200, width=200, side_px=side_px, levels=levels)
    assert made.face_region.shape == (3, side_px, side_px)
    assert [mask.shape for mask in made.levels] == [(3, (side_px // 8 >> i) ** 2) for i in range(levels)]
    assert all(a.dtype == np.float32 and a.min() >= 0 and a.max() <= 1 for a in (made.face_region, *made.levels))


def test_lips_are_where_the_mouth_is_the_face_round_them_and_the_rest_elsewhere():
    made = masks(REGIONS, height=200, width=200, side_px=512, levels=1)
    full, face, lips = made.levels[0].reshape(3, 64, 64)
    mouth, forehead, corner = (161 * 64 // 200, 102 * 64 // 200), (80 * 64 // 200, 104 * 64 // 200), (2, 2)
    assert lips[mouth] > 0.95 > 0.05 > face[mouth]
    assert face[forehead] > 0.8 > 0.2 > full[forehead]
    assert full[corner] > 0.95
    region = made.face_region[0]
    assert region[int(115 / 200 * 512), 256] == 1
    assert region[10, 10] == 0


def test_a_face_that_fills_its_picture_is_lost_as_released_and_kept_when_asked_for():
    whole = Regions(face=(0, 0, 200, 200), lips=(84, 150, 120, 172))
    lost, kept = (
        masks(whole, height=200, width=200, side_px=128, levels=1, whole_face=wanted) for wanted in (False, True)
    )
    assert (lost.levels[0][0] == 1).all()
    assert (lost.levels[0][1] == 0).all()
    assert (kept.levels[0][0] == 0).all()
    # Both are made smaller in 8 bits, each with its own rounding.
    assert np.allclose(kept.levels[0][1] + kept.levels[0][2], 1, atol=1.01 / 255)


def test_a_soft_picture_uses_all_of_its_eight_bits():
    picture = np.zeros((100, 100), np.uint8)
    picture[45:48, 40:60] = 255
    soft = soft_picture(picture, 31)
    assert (soft.shape, soft.dtype, soft.min(), soft.max()) == ((64, 64), np.uint8, 0, 255)
