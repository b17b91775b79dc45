from __future__ import annotations

import numpy as np
import pytest

from engines.errors import FaceNotFound, InputError
from hp_trt.faces.face import Face, FaceParts
from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.hallo2.portrait_encoder import TalkPortraitEncoder, encoded
from hp_trt.media.portrait import Portrait
from runtime.hallo2.conditions import encode_conditions
from runtime.stages import Stages
from tests.fakes import FakeBackend
from tests.runtime.hallo2 import fake_networks as fake

GEOMETRY = {"crop_px": fake.H, "motion_frames": 2, "face_ratio": 1.2, "lip_ratio": 2.0}
IMAGE = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)
POINTS = np.array([[40.0, 40], [60, 40], [50, 50], [42, 60], [58, 60]])
PARTS = FaceParts(face=(20.0, 15.0, 60.0, 70.0), lips=(42.0, 58.0, 16.0, 6.0))
FACE = Face(box=(30.0, 30.0, 40.0, 40.0), landmarks=POINTS, score=1.0, parts=PARTS)
BACKEND = FakeBackend()
SESSIONS = fake.fake_sessions(BACKEND, frames=4, motion_frames=2)
RAW = np.linspace(-3, 3, 512, dtype=np.float32)[None]


def embed(face: np.ndarray) -> np.ndarray:
    return RAW * face.mean()


def encoder(embed=embed, **options) -> TalkPortraitEncoder:
    options = {"levels": len(fake.BANKS), "scaling_factor": 0.5, **options}
    return TalkPortraitEncoder(BACKEND, SESSIONS, GEOMETRY, embed, **options)


def portrait(made: TalkPortraitEncoder, image: np.ndarray = IMAGE, *faces: Face) -> Portrait:
    locator = LandmarksFile([list(faces or (FACE,))], height=image.shape[0], width=image.shape[1])
    return made.portrait(image, locator, Stages())


def test_the_conditions_are_those_of_the_square_its_masks_and_the_raw_vector():
    made = portrait(encoder())
    own = encoded(made)
    assert made.notes == ()
    expected = encode_conditions(
        BACKEND,
        SESSIONS,
        picture=own.crop.source,
        embedding=RAW * own.crop.arcface.mean(),
        face_region=own.crop.masks.face_region,
        masks=own.crop.masks.levels,
        motion_frames=2,
        scaling_factor=0.5,
    )
    kept = own.conditions.of_denoiser()
    for name, buffer in expected.of_denoiser().items():
        np.testing.assert_array_equal(BACKEND.download(kept[name]), BACKEND.download(buffer), err_msg=name)
    np.testing.assert_array_equal(own.conditions.picture, own.crop.source)


def test_without_an_identity_network_the_vector_is_zero_and_a_note_says_so():
    nobody = portrait(encoder(embed=None))
    (note,) = nobody.notes
    assert "no identity network is given: the face's identity vector is zero" in note
    zeros = portrait(encoder(embed=lambda face: np.zeros((1, 512), np.float32)))
    tokens = [BACKEND.download(encoded(made).conditions.image_tokens) for made in (nobody, zeros)]
    np.testing.assert_array_equal(*tokens)
    np.testing.assert_array_equal(tokens[0][0], tokens[0][1])  # the face's are those of nobody


def test_weights_of_drawn_people_need_no_identity_network_and_nobody_is_told_of_one():
    assert portrait(encoder(embed=None, drawn=True)).notes == ()


def test_what_was_made_of_a_square_picture_is_the_whole_result():
    frame = np.random.default_rng(1).integers(0, 256, IMAGE.shape, dtype=np.uint8)
    assert np.array_equal(portrait(encoder()).paste(frame), frame)


def test_what_was_made_of_another_picture_fades_into_it_only_where_it_goes_on():
    tall = np.zeros((300, 120, 3), np.uint8)
    made = portrait(encoder(), tall)
    x0, y0, x1, y1 = encoded(made).crop.box
    assert (x0, x1, y1 - y0) == (0, 117, 117)  # 70 px are 60 % of it, and the face sits left
    pasted = made.paste(np.full((fake.H, fake.W, 3), 255, np.uint8))[:, :, 0]
    middle = (y0 + y1) // 2
    assert (pasted[middle, 0], pasted[middle, x1 - 1], pasted[y0, 60]) == (255, 0, 255 if y0 == 0 else 0)
    assert not pasted[y1:].any()


@pytest.mark.parametrize(("drawn", "photograph"), [(True, True), (True, False), (False, True)])
def test_weights_that_know_drawings_alone_say_so_of_a_photograph(drawn, photograph, monkeypatch):
    monkeypatch.setattr("hp_trt.hallo2.portrait_encoder.photographed", lambda face: photograph)
    notes = portrait(encoder(drawn=drawn)).notes
    assert bool(notes) == (drawn and photograph) == any("the portrait looks like a photograph" in n for n in notes)


def test_a_picture_without_a_face_is_refused_before_any_network_runs():
    with pytest.raises(FaceNotFound, match="no face in the portrait"):
        encoder().portrait(IMAGE, LandmarksFile([[]], height=120, width=120), Stages())


def test_a_portrait_that_another_model_has_encoded_is_refused():
    other = Portrait(image=IMAGE, path=None, notes=(), paste=lambda frame: frame, encoded=object())
    with pytest.raises(InputError, match="this portrait was encoded by another model than this bundle's"):
        encoded(other)
