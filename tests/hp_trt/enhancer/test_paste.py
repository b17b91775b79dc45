from __future__ import annotations

import cv2
import numpy as np
import pytest

from hp_trt.enhancer.paste import _eroded, _softened, paste, pasted_mask
from tests.golden_cases import HALLO2_FOLDER, HALLO2_SHIPPED, check, discover, golden_cases, load_case

TARGET = ("restore_paste",)
UPRIGHT = np.array(((4.0, 0.0, -300.0), (0.0, 4.0, -260.0)))  # a face of 128 pixels, from (75, 65) on


def test_there_are_golden_pastes():
    assert len(discover(targets=TARGET, folder=HALLO2_SHIPPED)) == 2


@golden_cases(targets=TARGET, folder=HALLO2_FOLDER)
def test_the_enhancers_paste_matches_its_golden_case(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    scale, upsampled = case.options["scale"], case.options["face_upsample"]
    face = case.inputs["face"]
    if upsampled:
        face = cv2.resize(face, (512 * scale, 512 * scale))
    given = case.inputs["matrix"], case.inputs["labels"]
    made = paste(case.inputs["background"].copy(), face, *given, scale=scale, upsampled=upsampled)
    check(case, {"picture": made}, 0)


@pytest.mark.parametrize("upsampled", [False, True])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_face_lies_where_it_was_taken_from_and_nothing_else_changes(scale, upsampled):
    background = np.full((200 * scale, 300 * scale, 3), 50, np.uint8)
    face = np.full((512 * (scale if upsampled else 1),) * 2 + (3,), 200, np.uint8)
    labels = np.zeros((512, 512), np.uint8)
    labels[128:384, 128:384] = 1
    made = paste(background.copy(), face, UPRIGHT, labels, scale=scale, upsampled=upsampled)
    middle = made[(65 + 64) * scale, (75 + 64) * scale]
    assert np.abs(middle.astype(int) - 200).max() <= 1
    outside = np.ones(made.shape[:2], bool)
    outside[65 * scale : 193 * scale, 75 * scale : 203 * scale] = False
    assert (made[outside] == 50).all()


def test_a_face_that_lies_outside_changes_nothing_and_one_half_outside_its_half():
    background = np.full((64, 64, 3), 50, np.uint8)
    face, labels = np.full((512, 512, 3), 200, np.uint8), np.ones((512, 512), np.uint8)
    far = np.array(((8.0, 0.0, -9000.0), (0.0, 8.0, 0.0)))
    assert (paste(background.copy(), face, far, labels, scale=2, upsampled=False) == 50).all()
    half = np.array(((8.0, 0.0, -128.0), (0.0, 8.0, 0.0)))
    made = paste(background.copy(), face, half, labels, scale=1, upsampled=False)
    assert (made[:, :8] == 50).all() and (made[20:40, 40:60] > 150).all()


def test_a_wide_rim_is_softened_as_a_narrow_one():
    whole = np.zeros((1500, 1500), np.float32)
    whole[200:1300, 100:1250] = 1
    quick = _softened(whole)
    edge = int(np.sqrt(whole.sum())) // 20
    centre = cv2.erode(whole, np.ones((2 * edge, 2 * edge), np.uint8))
    slow = cv2.GaussianBlur(centre, (2 * edge + 1, 2 * edge + 1), 0)
    assert edge == 56 and np.abs(quick - slow).max() < 0.5 / 255


@pytest.mark.parametrize("side", [2, 4, 6, 10, 30])
def test_erosion_is_that_of_the_library(side):
    mask = np.random.default_rng(0).random((37, 51)).astype(np.float32)
    assert np.array_equal(_eroded(mask, side), cv2.erode(mask, np.ones((side, side), np.uint8)))


def test_hair_and_clothes_are_not_pasted():
    labels = np.full((512, 512), 17, np.uint8)
    assert not pasted_mask(labels).any()
    labels[...] = 1
    mask = pasted_mask(labels)
    assert mask[256, 256] == pytest.approx(1) and not mask[:10].any() and not mask[:, -10:].any()
