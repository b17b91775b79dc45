from __future__ import annotations

import numpy as np

from hp_trt.faces.face import Face, FaceParts, largest_face


def face(*box: float) -> Face:
    return Face(box=box, landmarks=np.array([[box[0], box[1]]] * 5), score=1.0)


def test_the_largest_face_counts_by_area():
    assert largest_face([face(0, 0, 10, 10), face(5, 5, 9, 12), face(8, 8, 50, 2)]).box == (5, 5, 9, 12)


def test_of_equal_faces_the_first_counts():
    assert largest_face([face(1, 0, 10, 10), face(2, 0, 10, 10)]).box[0] == 1


def test_a_face_moves_with_the_crop_it_is_in():
    moved = face(30, 40, 10, 20).moved(20, 10, (2, 0.5))
    assert moved.box == (20, 15, 20, 10)
    assert moved.landmarks[0].tolist() == [20, 15]


def test_a_mesh_moves_with_its_face():
    mesh = np.array([[30.0, 40.0], [31, 44]])
    moved = Face(box=(30, 40, 10, 20), landmarks=np.zeros((5, 2)), score=1.0, mesh=mesh).moved(20, 10, (2, 0.5))
    assert moved.mesh.tolist() == [[20, 15], [22, 17]]
    assert face(30, 40, 10, 20).moved(20, 10, (2, 0.5)).mesh is None


def test_outline_and_lips_move_with_their_face():
    parts = FaceParts(face=(30, 40, 10, 20), lips=(32, 54, 6, 2))
    face_of_parts = Face(box=(30, 40, 10, 20), landmarks=np.zeros((5, 2)), score=1.0, parts=parts)
    moved = face_of_parts.moved(20, 10, (2, 0.5)).parts
    assert (moved.face, moved.lips) == ((20, 15, 20, 10), (24, 22, 12, 1))
