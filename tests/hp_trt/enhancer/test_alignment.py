from __future__ import annotations

import numpy as np

from hp_trt.enhancer.alignment import TEMPLATE, aligned, alignment, back
from tests.golden_cases import HALLO2_FOLDER, check, golden_cases, load_case


@golden_cases(targets=("restore_alignment",), folder=HALLO2_FOLDER)
def test_the_enhancers_alignment_matches_its_golden_case(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    picture = case.inputs["picture"][..., ::-1]  # BGR as recorded
    matrices = [alignment(points) for points in case.inputs["landmarks"]]
    made = {
        "matrix": np.stack(matrices),
        "inverse_times_scale": np.stack([back(matrix, case.options["upscale"]) for matrix in matrices]),
        "face": np.stack([aligned(picture, matrix)[..., ::-1] for matrix in matrices]),
    }
    check(case, made, 1e-9)


def test_a_turned_and_scaled_template_goes_back_to_its_place():
    turn = 0.4 * np.array(((np.cos(0.3), -np.sin(0.3)), (np.sin(0.3), np.cos(0.3))))
    matrix = alignment(TEMPLATE @ turn.T + (70, 20))
    assert np.allclose(matrix[:, :2] @ turn, np.eye(2), atol=1e-6)
    assert np.allclose(back(matrix, 4)[:, :2], 4 * turn, atol=1e-6)


def test_points_that_coincide_are_no_face():
    assert alignment(np.full((5, 2), 30.0)) is None
