from __future__ import annotations

import numpy as np

from hp_trt.enhancer.grey import greyed, is_grey


def test_a_picture_is_grey_whose_colours_differ_by_as_good_as_nothing():
    grey = np.random.default_rng(0).integers(0, 256, (40, 50, 1), np.uint8).repeat(3, axis=2)
    assert is_grey(grey)
    tinted = grey.copy()
    tinted[..., 0] //= 2
    assert not is_grey(tinted)
    assert is_grey(np.clip(grey + np.array((5, 0, 250)), 0, 250).astype(np.uint8)) is False


def test_a_grey_face_is_as_light_and_as_rich_in_contrast_as_its_crop():
    rng = np.random.default_rng(1)
    face = rng.integers(0, 256, (64, 64, 3), np.uint8)
    crop = np.clip(rng.normal(90, 12, (64, 64, 1)), 0, 255).astype(np.uint8).repeat(3, axis=2)
    made = greyed(face, crop)
    assert (made[..., 0] == made[..., 2]).all()
    assert abs(made.mean() - crop.mean()) < 0.5 and abs(made.std() - crop.std()) < 0.5
