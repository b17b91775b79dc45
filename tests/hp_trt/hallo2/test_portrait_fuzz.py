"""Landmarks files as nobody should give them: what the networks take, or our own error."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given

from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.hallo2.portrait import talk_portrait
from hp_trt.media.photograph import photographed
from tests.hostile import fuzz, refused_or_right, spoiled
from tests.hp_trt.faces import meshes

IMAGE = np.zeros((96, 128, 3), np.uint8)
POINTS = {"box": [30, 20, 50, 60], "landmarks": [[40, 40], [70, 40], [55, 55], [45, 68], [66, 68]], "score": 0.5}
PARTS = {**POINTS, "face": [30, 20, 50, 60], "lips": [45, 65, 20, 5]}


def file_of(face: dict) -> dict:
    return {"format": "hp-trt-landmarks", "version": 1, "width": 128, "height": 96, "frames": [[face]]}


def use(path) -> None:
    portrait = talk_portrait(IMAGE, LandmarksFile.read(path), side_px=64, levels=3)
    x0, y0, x1, y1 = portrait.box
    assert 0 <= x0 < x1 <= 128 and 0 <= y0 < y1 <= 96 and x1 - x0 == y1 - y0
    assert portrait.source.shape == (1, 3, 64, 64)
    assert [mask.shape for mask in portrait.masks.levels] == [(3, 64), (3, 16), (3, 4)]
    assert all(np.isfinite(a).all() for a in (portrait.arcface, portrait.masks.face_region, *portrait.masks.levels))
    photographed(portrait.face)


@fuzz(150)
@given(content=spoiled(file_of(PARTS)))
def test_boxes_of_outline_and_lips_make_masks_or_are_refused(tmp_path, content):
    (tmp_path / "faces.json").write_text(json.dumps(content), encoding="utf-8", errors="replace")
    with refused_or_right():
        use(tmp_path / "faces.json")


@fuzz(30)
@given(content=spoiled(file_of({**POINTS, "mesh": meshes.points(55, 50, 60).tolist()})))
def test_a_mesh_makes_masks_or_is_refused(tmp_path, content):
    (tmp_path / "faces.json").write_text(json.dumps(content), encoding="utf-8", errors="replace")
    with refused_or_right():
        use(tmp_path / "faces.json")


def test_boxes_that_lie_beside_their_face_make_masks_all_the_same(tmp_path):
    beside = {**POINTS, "box": [100, 70, 20, 20], "face": [-20, -10, 30, 30], "lips": [-5, 10, 4, 2]}
    (tmp_path / "faces.json").write_text(json.dumps(file_of(beside)))
    use(tmp_path / "faces.json")
