from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from engines.errors import FaceNotFound, InputError
from hp_trt.faces.align import TEMPLATE
from hp_trt.faces.face import Face, FaceParts
from hp_trt.faces.haar import HaarLocator
from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.hallo2.portrait import TalkPortrait, square_round, talk_portrait
from hp_trt.hallo2.regions import GUESSED, Tight
from hp_trt.media.images import load_image
from hp_trt.sample import landmarks_beside


def known(image: np.ndarray, *faces: Face) -> LandmarksFile:
    return LandmarksFile([faces], height=image.shape[0], width=image.shape[1])


def made(image: np.ndarray, *faces: Face, side_px: int = 128, levels: int = 4, what: str = "p.png") -> TalkPortrait:
    return talk_portrait(image, known(image, *faces), side_px=side_px, levels=levels, what=what)


def face_at(x: float, y: float, w: float, h: float) -> Face:
    """An upright face of that outline."""
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]) * (w, h) + (x, y)
    lips = (x + 0.35 * w, y + 0.75 * h, 0.3 * w, 0.1 * h)
    return Face(box=(x, y, w, h), landmarks=points, score=1.0, parts=FaceParts(face=(x, y, w, h), lips=lips))


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_drawn_portrait_gives_every_network_its_picture(sample):
    image = load_image(sample[0])
    portrait = talk_portrait(image, LandmarksFile.read(landmarks_beside(sample[0])), side_px=128, levels=4)
    assert portrait.box == (0, 0, 512, 512)
    assert (portrait.source.shape, portrait.arcface.shape) == ((1, 3, 128, 128), (3, 112, 112))
    assert [mask.shape for mask in portrait.masks.levels] == [(3, 256), (3, 64), (3, 16), (3, 4)]
    floats = portrait.source, portrait.arcface, portrait.masks.face_region, *portrait.masks.levels
    assert all(a.dtype == np.float32 for a in floats)
    assert portrait.notes == ()  # the sample's file knows outline and lips


def test_a_square_picture_is_resized_whole_to_numbers_of_minus_one_to_one():
    image = picture(200, 200)
    portrait = made(image, face_at(50, 40, 90, 120), side_px=64)
    small = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(portrait.source[0], small.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)


def test_the_identity_networks_picture_is_the_aligned_face_from_minus_one_to_one():
    image = picture(112, 112)
    portrait = made(image, Face(box=(0.0, 0.0, 112.0, 112.0), landmarks=TEMPLATE, score=1.0))
    expected = (image.transpose(2, 0, 1).astype(np.float64) - 127.5) / 127.5
    np.testing.assert_allclose(portrait.arcface, expected, atol=1e-6)  # float32 at the end


@pytest.mark.parametrize(
    ("height", "width", "face", "box"),
    [
        (900, 600, (200, 300, 180, 240), (90, 220, 490, 620)),  # 240 is 60 % of 400
        (600, 900, (10, 20, 180, 240), (0, 0, 400, 400)),  # slid to the picture's edges
        (300, 900, (500, 20, 180, 240), (440, 0, 740, 300)),  # as large as the picture lets it be
        (500, 500, (10, 10, 60, 80), (0, 0, 500, 500)),  # a square picture is used whole
    ],
)
def test_the_square_has_the_face_in_six_tenths_of_its_side(height, width, face, box):
    x, y, w, h = face
    tight = Tight(face=(x, y, x + w, y + h), lips=(x, y, x + 1, y + 1))
    assert square_round(tight, height=height, width=width) == box


def test_in_a_picture_that_is_no_square_all_is_counted_from_the_squares_corner():
    image = picture(900, 600)
    portrait = made(image, face_at(200, 300, 180, 240), side_px=64, levels=2)
    (note,) = portrait.notes
    assert "p.png has 600 x 900 pixels and is no square: 400 x 400 of it from (90, 220) on" in note
    assert "the face has 60% of the side" in note
    alone = made(np.ascontiguousarray(image[220:620, 90:490]), face_at(110, 80, 180, 240), side_px=64, levels=2)
    assert portrait.regions == alone.regions
    for one, other in zip(
        (portrait.source, portrait.arcface, portrait.face, *portrait.masks.levels),
        (alone.source, alone.arcface, alone.face, *alone.masks.levels),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_several_faces_are_reported_and_the_largest_is_taken():
    portrait = made(picture(200, 200), face_at(10, 10, 40, 50), face_at(60, 40, 90, 110))
    assert portrait.notes == ("2 faces in p.png: the largest is animated",)
    assert portrait.regions.face == (51, 29, 159, 161)  # mid 105, 95; 1.2 times 90 and 110


def test_five_points_alone_are_told_to_be_a_guess(sample):
    portrait = talk_portrait(load_image(sample[0]), HaarLocator(), side_px=64, levels=2)
    assert portrait.notes == (GUESSED,)


def test_a_face_that_grows_beyond_its_picture_is_cut_to_it_and_told():
    portrait = made(picture(200, 200), face_at(5, 2, 180, 196), side_px=64, levels=1)
    assert portrait.regions.face == (0, 0, 200, 200)
    assert len(portrait.notes) == 1 and "larger than the picture and is cut to it" in portrait.notes[0]
    full, face, lips = portrait.masks.levels[0]
    assert full.max() == 0
    assert np.allclose(face + lips, 1, atol=1.01 / 255)  # each is rounded to 8 bits
    assert portrait.masks.face_region.min() == 1


def test_a_small_face_in_a_square_picture_is_told():
    (note,) = made(picture(400, 400), face_at(100, 100, 60, 80)).notes
    assert note.startswith("the face has 20% of the side") and note.endswith("crop it closer")


@pytest.mark.parametrize("shape", [(1, 1, 3), (200, 300, 3)])
def test_a_picture_without_a_face_says_what_is_needed(shape):
    with pytest.raises(FaceNotFound, match=r"no face in wall\.png .*needed is one upright, mostly frontal face"):
        talk_portrait(np.full(shape, 128, np.uint8), HaarLocator(), side_px=64, levels=1, what="wall.png")


@pytest.mark.parametrize("shape", [(6, 6, 3), (60, 50, 3)])
def test_a_face_of_a_few_pixels_is_refused(shape):
    face = Face(box=(1.0, 1.0, 2.0, 2.0), landmarks=TEMPLATE / 50, score=1.0)
    with pytest.raises(InputError, match="use a larger picture"):
        made(np.zeros(shape, np.uint8), face)
