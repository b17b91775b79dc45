"""What the measure on photographs computes of landmarks; that it runs on photographs nothing here can show."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quality.photographs import follows, upright

FACE = np.random.default_rng(0).uniform(-1, 1, (468, 2))
FACE[33], FACE[263], FACE[4], FACE[152] = (-0.5, 0), (0.5, 0), (0, 0.4), (0, 1.0)
FACE[159], FACE[145], FACE[386], FACE[374] = (-0.3, -0.05), (-0.3, 0.05), (0.3, -0.05), (0.3, 0.05)
T = np.linspace(0, 6, 40)


def moving(lid: np.ndarray, mouth: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """(F, 468, 2): lids and mouth so far open, the nose so far to a side."""
    meshes = np.repeat(FACE[None], len(lid), axis=0)
    meshes[:, (159, 386), 1] = -0.05 * lid[:, None]
    meshes[:, 13], meshes[:, 14] = (0, 0.7), np.stack([0 * mouth, 0.7 + mouth], axis=1)
    meshes[:, 4, 0] = turn
    return meshes


def placed(meshes: np.ndarray, angle: float, size: float) -> np.ndarray:
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return size * meshes @ rotation.T + (120, 77)


def test_a_face_is_the_same_wherever_it_stands_and_however_large_it_is():
    meshes = moving(1 + 0 * T, 0.1 + 0 * T, 0 * T)
    points, turn = upright(placed(meshes, 0.2, 60))
    assert np.allclose(points, upright(meshes)[0], atol=1e-9)
    assert np.allclose(turn, 0.2)


def test_what_moves_alike_follows_and_what_stands_still_does_not():
    driver = moving(1 + 0.4 * np.sin(T), 0.1 + 0.05 * np.cos(T), 0.1 * np.sin(2 * T))
    result = placed(moving(1 + 0.2 * np.sin(T), np.full(40, 0.1), -0.1 * np.sin(2 * T)), 0.1, 40)
    found = follows(driver, result)
    assert found["left lid"] == pytest.approx(1)
    assert found["head turns"] == pytest.approx(-1)
    assert abs(found["mouth opens"]) < 0.2 or found["mouth opens"] == 0.0
    assert np.isnan(found["head tilts"])  # the driver does not tilt


def test_frames_without_a_face_do_not_count_and_too_few_say_nothing():
    driver = moving(1 + 0.4 * np.sin(T), 0.1 + 0 * T, 0 * T)
    result = driver.copy()
    result[5:30] = np.nan
    assert follows(driver, result)["right lid"] == pytest.approx(1)
    result[2:] = np.nan
    assert np.isnan(follows(driver, result)["right lid"])
