from __future__ import annotations

import numpy as np
import pytest

from engines.errors import FaceNotFound, InputError
from hp_trt.faces.align import TEMPLATE
from hp_trt.faces.face import Face
from hp_trt.faces.haar import HaarLocator
from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.media.images import load_image


def known(image: np.ndarray, *faces: Face) -> LandmarksFile:
    return LandmarksFile([faces], height=image.shape[0], width=image.shape[1])


def test_the_drawn_portrait_gives_every_network_its_picture(sample):
    crop = portrait_crop(load_image(sample[0]), HaarLocator(), crop_px=128)
    shapes = [a.shape for a in (crop.crop, crop.reference, crop.transformed, crop.arcface)]
    assert shapes == [(128, 128, 3), (3, 128, 128), (3, 224, 224), (3, 112, 112)]
    assert all(a.dtype == np.float32 for a in (crop.reference, crop.transformed, crop.arcface))
    assert crop.notes == ()


def test_a_known_face_is_followed_into_the_crop():
    # The template itself in the picture: aligning it must give the picture back.
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    face = Face(box=(0.0, 0.0, 112.0, 112.0), landmarks=TEMPLATE, score=1.0)
    crop = portrait_crop(image, known(image, face), crop_px=112)
    assert np.allclose(crop.arcface, image.transpose(2, 0, 1) / 255, atol=1e-6)  # float32 at the end


def test_several_faces_are_reported():
    image = np.zeros((100, 100, 3), np.uint8)
    faces = [Face(box=(x, 30.0, 20.0 + x, 20.0), landmarks=TEMPLATE / 4 + (x, 30), score=1.0) for x in (10.0, 50.0)]
    crop = portrait_crop(image, known(image, *faces), crop_px=64, what="people.png")
    several, outside, *close = crop.notes
    assert several == "2 faces in people.png: the largest is animated"
    assert outside.startswith("29% of the face in people.png is outside of the picture")
    assert [note for note in close if "of the side of the square" not in note] == []


def test_a_face_that_fills_its_square_or_has_few_pixels_is_told_and_one_with_room_around_it_is_not():
    image = np.zeros((100, 100, 3), np.uint8)
    near = Face(box=(10.0, 10.0, 80.0, 80.0), landmarks=TEMPLATE / 2 + 20, score=1.0)
    (close,) = portrait_crop(image, known(image, near), crop_px=128, what="me.png").notes
    assert close.startswith("the face in me.png has 80% of the side of the square")
    far = Face(box=(35.0, 35.0, 30.0, 30.0), landmarks=TEMPLATE / 4 + 36, score=1.0)
    assert portrait_crop(image, known(image, far), crop_px=128).notes == ()
    (small,) = portrait_crop(image, known(image, far), crop_px=512, what="me.png").notes
    assert small.startswith("the square round the face in me.png has 90 x 90 pixels, and 512 x 512 are made of it")


@pytest.mark.parametrize("shape", [(1, 1, 3), (200, 300, 3)])
def test_a_picture_without_a_face_says_what_is_needed(shape):
    with pytest.raises(FaceNotFound, match=r"no face in wall\.png .*needed is one upright, mostly frontal face"):
        portrait_crop(np.full(shape, 128, np.uint8), HaarLocator(), what="wall.png")


def test_a_face_of_a_few_pixels_is_refused():
    image = np.zeros((6, 6, 3), np.uint8)
    face = Face(box=(1.0, 1.0, 2.0, 2.0), landmarks=TEMPLATE / 50, score=1.0)
    with pytest.raises(InputError, match="use a larger picture"):
        portrait_crop(image, known(image, face))
