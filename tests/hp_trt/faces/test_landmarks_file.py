from __future__ import annotations

import json

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.faces.face import Face, FaceParts
from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.faces.locators import open_locator
from hp_trt.faces.mesh_points import face_of
from tests.hp_trt.faces import meshes

FACE = Face(box=(10.0, 20.0, 30.0, 40.0), landmarks=np.arange(10.0).reshape(5, 2), score=0.75)
IMAGE = np.zeros((48, 64, 3), np.uint8)


def test_what_is_written_is_read_again(tmp_path):
    LandmarksFile([[FACE], []], height=48, width=64).write(tmp_path / "faces.json")
    locator = open_locator("landmarks", tmp_path / "faces.json")
    face = locator.locate(IMAGE, 0)[0]
    assert (face.box, face.score) == (FACE.box, FACE.score)
    assert np.array_equal(face.landmarks, FACE.landmarks)
    assert locator.locate(IMAGE, 1) == []


def test_another_pictures_size_is_refused():
    with pytest.raises(InputError, match="64 x 48 pixels, this one has 20 x 10"):
        LandmarksFile([[FACE]], height=48, width=64).locate(np.zeros((10, 20, 3), np.uint8))


def test_a_video_longer_than_its_landmarks_is_refused():
    with pytest.raises(InputError, match="has 1 frames and frame 1 is asked for"):
        LandmarksFile([[FACE]], height=48, width=64).locate(IMAGE, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "cannot be read as JSON"),
        ("[]", "is no landmarks file"),
        ('{"format": "hp-trt-landmarks", "version": 2}', '"version": 1'),
        ('{"format": "hp-trt-landmarks", "version": 1, "width": 4, "height": 4}', "frames is missing; needed are"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "faces.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        LandmarksFile.read(path)


GOOD = {"box": [10, 12, 20, 24], "landmarks": [[12, 20], [26, 20], [19, 26], [14, 31], [24, 31]]}


def written(path, **change):
    """A file of one good face in the second of two frames, with the face's fields changed."""
    frames = [[], [{key: value for key, value in (GOOD | change).items() if value is not ...}]]
    data = {"format": "hp-trt-landmarks", "version": 1, "width": 64, "height": 48, "frames": frames}
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"box": [0, 0, 0, 5]}, "frames[1][0].box[2] must be a number of 1 to 192, got 0"),
        ({"box": [-3e4, 0, 6e4, 20]}, "frames[1][0].box[0] must be a number of -64 to 128, got -30000.0"),
        ({"box": [0, 0, 20, 1e300]}, "frames[1][0].box[3] must be a number of 1 to 144, got 1e+300"),
        ({"box": [60, 0, 100, 20]}, "frames[1][0].box must be a box in or near its picture of 64 x 48"),
        ({"box": [0, 0, 10**90, 20]}, "frames[1][0].box[2] must be a number of 1 to 192, got a number of more than"),
        ({"box": [0, 0, 10**400, 20]}, "a number of 401 digits"),
        ({"box": [0, 0, True, 20]}, "frames[1][0].box[2] must be a number, got True"),
        ({"box": [0, 0, 20]}, "frames[1][0].box must be a list of 4, got 3"),
        ({"box": None}, "frames[1][0].box must be a list, got null"),
        ({"box": ...}, "frames[1][0].box is missing"),
        ({"box": [float("nan"), 0, 9, 9]}, "NaN is not JSON"),
        ({"landmarks": [[0, 0]]}, "frames[1][0].landmarks must be a list of 5, got 1"),
        ({"landmarks": [[20, 20]] * 5}, "must be five points of a face, got five within a pixel of [20.0, 20.0]"),
        ({"landmarks": [[1, 2, 3]] * 5}, "frames[1][0].landmarks[0] must be a list of 2, got 3"),
        (
            {"landmarks": [[0, 0], [9, 9], [1, 1], [2, 2], [3, 2000]]},
            "frames[1][0].landmarks[4][1] must be a number of -48",
        ),
        ({"score": "high"}, "frames[1][0].score must be a number, got 'high'"),
    ],
)
def test_a_face_that_is_none_is_refused_with_its_frame_and_field(tmp_path, change, says):
    with pytest.raises(InputError) as caught:
        LandmarksFile.read(written(tmp_path / "faces.json", **change))
    assert says in str(caught.value)


def test_a_face_may_lie_partly_outside_of_its_picture(tmp_path):
    file = LandmarksFile.read(written(tmp_path / "faces.json", box=[-10, -12, 20, 24]))
    assert file.frames[1][0].box == (-10.0, -12.0, 20.0, 24.0)


@pytest.mark.parametrize(
    "text", ["[" * 5000, "[" * 200_000, '{"format": "hp-trt-landmarks", "version": [[[]]]}', "\ufeff{}"]
)
def test_nesting_without_end_is_no_landmarks_file(tmp_path, text):
    (tmp_path / "faces.json").write_text(text)
    with pytest.raises(InputError):
        LandmarksFile.read(tmp_path / "faces.json")


def test_a_file_of_more_than_can_be_needed_is_not_read(tmp_path):
    with (tmp_path / "faces.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="at most 33554432 are read"):
        LandmarksFile.read(tmp_path / "faces.json")


MESH = meshes.points(32, 24, 40)


@pytest.mark.parametrize("count", [468, 478])
def test_a_mesh_and_the_boxes_of_outline_and_lips_are_read_again_as_they_were_written(tmp_path, count):
    points = np.vstack([MESH, MESH[:10]])[:count]
    parts = FaceParts(face=(1.0, 2.0, 30.0, 40.0), lips=(12.5, 30.0, 9.0, 3.0))
    face = Face(box=FACE.box, landmarks=FACE.landmarks, score=0.75, mesh=points, parts=parts)
    LandmarksFile([[face]], height=48, width=64).write(tmp_path / "faces.json")
    found = LandmarksFile.read(tmp_path / "faces.json").locate(IMAGE)[0]
    assert (found.box, found.score, found.parts) == (face.box, face.score, parts)
    assert np.array_equal(found.mesh, points)
    assert np.array_equal(found.landmarks, FACE.landmarks)


def test_a_file_without_them_says_nothing_of_them(tmp_path):
    LandmarksFile([[FACE]], height=48, width=64).write(tmp_path / "faces.json")
    assert set(json.loads((tmp_path / "faces.json").read_text())["frames"][0][0]) == {"box", "landmarks", "score"}
    face = LandmarksFile.read(tmp_path / "faces.json").frames[0][0]
    assert (face.mesh, face.parts) == (None, None)


def test_box_and_landmarks_are_read_from_the_mesh_where_they_are_left_out(tmp_path):
    path = written(tmp_path / "faces.json", mesh=MESH.tolist(), box=..., landmarks=...)
    face, expected = LandmarksFile.read(path).frames[1][0], face_of(MESH, 1.0)
    assert face.box == expected.box
    assert np.array_equal(face.landmarks, expected.landmarks)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mesh": MESH[:300].tolist()}, "frames[1][0].mesh must be landmarks of 468 or 478 points, got 300"),
        ({"mesh": []}, "landmarks of 468 or 478 points, got 0"),
        ({"mesh": [[1, 2, 3]] * 468}, "frames[1][0].mesh[0] must be a list of 2, got 3"),
        ({"mesh": [[1, 1e9]] * 468}, "frames[1][0].mesh[0][1] must be a number of -48 to 96"),
        ({"mesh": [[5, 5]] * 478}, "frames[1][0].mesh must be points of a face, got points within a pixel of a line"),
        ({"mesh": "points"}, "frames[1][0].mesh must be a list, got 'points'"),
        ({"face": [10, 12, 20, 24]}, "frames[1][0].lips is missing"),
        ({"lips": [10, 12, 20, 4]}, "frames[1][0].face is missing"),
        ({"face": [10, 12, 20, 24], "lips": [0, 0, 0, 0]}, "frames[1][0].lips[2] must be a number of 1 to 192, got 0"),
    ],
)
def test_a_mesh_or_a_part_that_is_none_is_refused_with_its_frame_and_field(tmp_path, change, says):
    with pytest.raises(InputError) as caught:
        LandmarksFile.read(written(tmp_path / "faces.json", **change))
    assert says in str(caught.value)
