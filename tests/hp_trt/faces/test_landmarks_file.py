from __future__ import annotations

import json

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.faces.face import Face
from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.faces.locators import open_locator

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
        ('{"format": "hp-trt-landmarks", "version": 1, "width": 4, "height": 4}', "KeyError: 'frames'"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "faces.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        LandmarksFile.read(path)


@pytest.mark.parametrize("change", [{"box": [0, 0, 0, 5]}, {"landmarks": [[0, 0]]}, {"box": [float("nan"), 0, 1, 1]}])
def test_a_face_that_is_none_is_refused(tmp_path, change):
    face = {"box": [0, 0, 5, 5], "landmarks": [[0, 0]] * 5} | change
    data = {"format": "hp-trt-landmarks", "version": 1, "width": 4, "height": 4, "frames": [[face]]}
    path = tmp_path / "faces.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="needed are width, height and frames"):
        LandmarksFile.read(path)
