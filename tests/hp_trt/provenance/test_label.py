from __future__ import annotations

import numpy as np
import pytest

from hp_trt.provenance.label import labelled


@pytest.mark.parametrize("size", [(512, 512), (300, 900), (64, 64), (20, 30), (2, 3), (1, 1)])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_the_sign_stands_in_the_lower_right_corner_alone(size, grey):
    image = np.full((*size, 3), grey, np.uint8)
    made = labelled(image)
    assert made.shape == image.shape and made.dtype == np.uint8 and (image == grey).all()
    rows, columns = np.nonzero((made != image).any(axis=2))
    assert rows.size, "nothing was drawn"
    assert rows.max() == size[0] - 1 and columns.max() == size[1] - 1
    if min(size) >= 300:
        assert rows.min() > 0.85 * size[0] and columns.min() > size[1] / 2


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_its_letters_are_light_on_dark_whatever_the_picture_is(grey):
    corner = labelled(np.full((512, 512, 3), grey, np.uint8))[-30:, -120:]
    assert corner.max() > 240 and np.percentile(corner, 10) < 125
