"""Drawn faces of many people, and the one photograph that a library brings along."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from hp_trt.media.photograph import photographed
from procedural.draw import draw
from procedural.identity import Identity
from procedural.landmarks import face_box
from procedural.motion import State


def drawn(seed: int, px: int) -> np.ndarray:
    who = Identity.random(seed)
    x, y, w, h = (round(edge) for edge in face_box(who, State(), px))
    return draw(who, State(), px)[y : y + h, x : x + w]


def as_jpeg(face: np.ndarray, quality: int) -> np.ndarray:
    with io.BytesIO() as file:
        Image.fromarray(face).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))


@pytest.mark.parametrize("px", [256, 512])
def test_nobody_who_is_drawn_is_taken_for_a_photograph(px):
    for seed in range(0, 200, 8):
        face = drawn(seed, px)
        versions = (
            face,
            as_jpeg(face, 60 + seed % 31),
            cv2.resize(face, None, fx=1.7, fy=1.7),
            face[::-1, ::2][:, ::-1],
        )
        assert not any(map(photographed, versions)), seed


@pytest.mark.parametrize("scale", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("light", [0.7, 1.0])
def test_a_photographed_face_is_one_at_any_size_dark_or_as_jpeg(scale, light):
    data = pytest.importorskip("skimage.data")  # its astronaut comes with it
    face = cv2.resize(data.astronaut()[64:172, 180:267], None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    face = (face * light).astype(np.uint8)
    assert photographed(face) and photographed(as_jpeg(face, 75)) and photographed(np.ascontiguousarray(face[:, ::-1]))


@pytest.mark.parametrize("shape", [(1, 1, 3), (79, 300, 3), (30, 30, 3)])
def test_of_a_face_too_small_nothing_is_said(shape):
    assert not photographed(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
