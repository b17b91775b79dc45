from __future__ import annotations

import numpy as np
import pytest

from hp_trt.faces.align import TEMPLATE, aligned_face, similarity


@pytest.mark.parametrize("seed", range(6))
def test_alignment_is_scikit_images_similarity_and_warp(seed):
    transform = pytest.importorskip("skimage.transform")
    random = np.random.default_rng(seed)
    image = random.integers(60, 256, (90 + seed, 120, 3), dtype=np.uint8)
    # Some landmarks hang over the edge, so zeros outside the picture are compared too.
    landmarks = TEMPLATE * random.uniform(0.3, 1.4) + random.normal(size=(5, 2)) * 3 + random.uniform(-30, 30, 2)
    fitted = transform.SimilarityTransform.from_estimate(landmarks, TEMPLATE)
    expected = transform.warp(image, fitted.inverse, output_shape=(112, 112))
    # float64 on both sides: only the order of additions differs.
    assert np.abs(similarity(landmarks, TEMPLATE) - fitted.params[:2]).max() < 1e-10
    assert np.abs(aligned_face(image, landmarks) - expected).max() < 1e-10


def test_mirrored_landmarks_are_not_unmirrored():
    turn = similarity(TEMPLATE * (-1, 1), TEMPLATE)[:, :2]
    assert np.linalg.det(turn) > 0


def test_five_points_at_one_place_say_what_to_do():
    with pytest.raises(ValueError, match="detect the face again"):
        similarity(np.ones((5, 2)), TEMPLATE)
