from __future__ import annotations

import av
import numpy as np
import pytest

from hp_trt.media.yuv_frames import BT601, YuvFrames


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def plain(image):
    """The same without memory that is used again."""
    return av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p", dst_colorspace=BT601)


@pytest.mark.parametrize("size", [(64, 64), (63, 64), (64, 61), (33, 47), (1, 1)])
def test_frames_are_those_of_swscale_and_an_odd_side_repeats_its_last_pixel(size):
    frames = YuvFrames()
    for seed in range(3):
        image = picture(*size, seed=seed)
        even = np.pad(image, [(0, size[0] % 2), (0, size[1] % 2), (0, 0)], mode="edge")
        np.testing.assert_array_equal(frames.frame(image).to_ndarray(), plain(even).to_ndarray())


def test_a_frame_that_was_given_stays_as_it_is_while_pictures_go_on_and_change_their_size():
    frames, images = YuvFrames(), [picture(48, 64), picture(48, 64, seed=1), picture(24, 32, seed=2)]
    made = [frames.frame(image) for image in images]
    for frame, image in zip(made, images, strict=True):
        np.testing.assert_array_equal(frame.to_ndarray(), plain(image).to_ndarray())


def test_a_view_that_is_not_contiguous_is_taken():
    image = picture(64, 64)[8:40, 16:48]
    np.testing.assert_array_equal(YuvFrames().frame(image).to_ndarray(), plain(image.copy()).to_ndarray())
