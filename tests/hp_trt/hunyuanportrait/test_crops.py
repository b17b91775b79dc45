from __future__ import annotations

import numpy as np
import pytest

from hp_trt.hunyuanportrait.crops import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    face_image,
    pose_image,
    reference_image,
    transformed_image,
)
from procedural.clip import clip

PLACE = (10, 20, 230, 240)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("source", "target"), [(512, 224), (64, 224), (224, 224), (300, 56), (37, 23)])
def test_the_appearance_image_is_torchs_antialiased_bilinear_resize(source, target):
    torch = pytest.importorskip("torch")
    crop = noise(source, source)
    planes = torch.from_numpy(crop).permute(2, 0, 1).float()[None] / 255
    resized = torch.nn.functional.interpolate(planes, size=(target, target), mode="bilinear", antialias=True)[0].numpy()
    expected = (resized - IMAGENET_MEAN[:, None, None]) / IMAGENET_STD[:, None, None]
    # torch computes the filter's centres in float32, where 512 has steps of 3e-5; ours are float64.
    assert np.abs(transformed_image(crop, target) - expected).max() < 1e-4


def test_the_reference_image_spans_minus_one_to_one():
    crop = np.array([[[0, 51, 255]]], np.uint8)
    assert np.allclose(reference_image(crop)[:, 0, 0], [-1, -0.6, 1], atol=1e-6)  # 51/255 is not exact in float32


def test_a_face_of_no_size_is_a_black_image():
    assert not face_image(noise(20, 20), (5, 5, 5.5, 5.5), 16).any()


@pytest.mark.parametrize("box", [(30, 40, 200, 210), (-20, -10, 150, 160), (5, 5, 5.5, 5.5)])
def test_quick_crops_show_what_the_released_ones_show(box):
    frame = clip(3, frames=1, px=256).frames()[0]
    for made, quick in [
        (face_image(frame, box, 64), face_image(frame, box, 64, quick=True)),
        (pose_image(frame, PLACE, crop_px=128, size=64), pose_image(frame, PLACE, crop_px=128, size=64, quick=True)),
    ]:
        assert (made.shape, made.dtype) == (quick.shape, quick.dtype)
        assert np.sqrt(((made - quick) ** 2).mean()) < 10 ** (
            -35 / 20
        )  # 35 dB: filters differ at the edges of so small a picture
