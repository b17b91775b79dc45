from __future__ import annotations

import numpy as np
import pytest

from engines.errors import NonFiniteError
from runtime.enhancer.detector import apart, decode, detect, faces_of, priors
from tests.fakes import FakeBackend, spec
from tests.golden_cases import HALLO2_FOLDER, check, golden_cases, load_case

PROMISE = spec(
    "a detector",
    {"picture": (1, 3, "h", "w")},
    {"loc": (1, "n", 4), "confidence": (1, "n", 2), "landmark_offsets": (1, "n", 10)},
    most=100_000,
)

RECORDED = ("priors", "boxes", "landmarks")


@golden_cases(targets=("face_detector",), folder=HALLO2_FOLDER)
def test_the_enhancers_boxes_and_points_are_decoded_as_released(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    height, width = case.inputs["picture"].shape[:2]
    anchors = priors(height, width)
    small = {name: np.float32(0.05) * case.outputs[name] for name in ("loc", "landmark_offsets")}
    boxes, points = decode(small["loc"], small["landmark_offsets"], anchors, height=height, width=width)
    check(case, {"priors": anchors, "boxes": boxes, "landmarks": points}, 1e-5, only=RECORDED)


def test_of_boxes_on_one_face_the_best_stays_and_one_beside_it_too():
    boxes = np.array(((0, 0, 10, 10), (1, 1, 11, 11), (20, 0, 30, 10), (0, 6, 10, 16)), np.float32)
    assert apart(boxes) == [0, 2, 3]
    assert apart(np.zeros((0, 4), np.float32)) == []


def test_faces_come_with_the_best_score_first_and_none_below_the_least():
    loc, offsets = np.zeros((len(priors(32, 640)), 4)), np.zeros((len(priors(32, 640)), 10))
    confidence = np.zeros_like(loc[:, :2])
    confidence[:, 0] = 5
    confidence[[0, 80, 158]] = (0, 1.3), (0, 3), (0, 2)  # 0.79, 0.95, 0.88
    found = faces_of(loc, confidence, offsets, height=32, width=640)
    assert [round(face.score, 2) for face in found] == [0.95, 0.88]
    assert np.allclose(found[0].box, (316, -4, 332, 12)) and np.allclose(found[0].points, (324, 4))


def test_the_detector_sees_blue_green_red_less_their_means_and_what_is_no_number_is_told():
    seen = []

    def formula(picture):
        seen.append(picture)
        return {"loc": np.full((1, 8, 4), np.nan), "confidence": np.zeros((1, 8, 2)), "landmark_offsets": np.zeros(80)}

    backend = FakeBackend()
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[...] = 10, 20, 30
    with pytest.raises(NonFiniteError, match="detector"):
        detect(backend, backend.session(PROMISE, formula), picture)
    assert seen[0][0, :, 3, 5].tolist() == [30 - 104, 20 - 117, 10 - 123]
