"""Pictures in a lossless video: all that goes in comes out, and what is none is refused."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.media.lossless import LosslessWriter, lossless_pictures


def written(pictures):
    height, width = pictures[0].shape[:2]
    with LosslessWriter(width, height) as writer:
        for picture in pictures:
            writer.write(picture)
    return writer.content


@pytest.mark.parametrize("size", [(32, 64), (33, 66)])
def test_every_bit_comes_back(size):
    noise = np.random.default_rng(0)
    pictures = [noise.integers(0, 256, (*size, 3), np.uint8) for _ in range(12)]
    found = list(lossless_pictures(written(pictures), size[1], size[0], "they"))
    np.testing.assert_array_equal(found, pictures)


def test_pictures_of_another_size_and_no_pictures_are_refused():
    content = written([np.zeros((32, 64, 3), np.uint8)] * 3)
    with pytest.raises(InputError, match="they have 64 x 32 pixels, needed are 32 x 32"):
        list(lossless_pictures(content, 32, 32, "they"))
    with pytest.raises(InputError, match="they "):
        list(lossless_pictures(content[:100], 64, 32, "they"))
