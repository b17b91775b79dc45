from __future__ import annotations

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.faces.found import find_faces
from hp_trt.faces.yunet import YuNetLocator
from tests.hp_trt.faces.small_networks import network, yunet


def test_a_file_that_is_no_yunet_is_an_input_error(tmp_path):
    path = tmp_path / "yunet.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match="not a YuNet network"):
        YuNetLocator(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is an empty file; give a face_detection_yunet file"):
        YuNetLocator(path)
    with pytest.raises(InputError, match="is not a file; give a face_detection_yunet"):
        YuNetLocator(tmp_path)


@pytest.mark.parametrize("size", [(64, 64), (90, 130), (320, 240)])
def test_a_network_with_its_inputs_and_outputs_is_taken(tmp_path, size):
    blind = YuNetLocator(yunet(tmp_path / "yunet.onnx"))
    assert find_faces(blind, np.zeros((*size, 3), np.uint8)) == []
    seeing = YuNetLocator(yunet(tmp_path / "sees.onnx", score=0.9, box=1.0))
    [face, *_] = find_faces(seeing, np.zeros((*size, 3), np.uint8))
    assert face.score == pytest.approx(0.9)


def test_another_network_says_what_it_gives_and_what_is_missing(tmp_path):
    other = network(tmp_path / "other.onnx", {"x": [1, 3, 64, 64]}, {"logits": ([1, 1000], 0.0)})
    with pytest.raises(InputError, match=r"other.onnx gives logits; a YuNet network gives 12 outputs, cls_8 to kps_32"):
        YuNetLocator(other)
    with pytest.raises(InputError, match="here obj_16 is missing"):
        YuNetLocator(yunet(tmp_path / "some.onnx", missing="obj_16"))


def test_outputs_of_another_size_are_never_read(tmp_path):
    """OpenCV reads ten numbers a cell, whatever there are."""
    with pytest.raises(InputError, match=r"for kps_8 gave numbers of shape \[256\], needed are 640"):
        YuNetLocator(yunet(tmp_path / "four.onnx", kps=4))


def test_numbers_that_are_not_finite_are_told_at_opening(tmp_path):
    with pytest.raises(InputError, match="run as YuNet, for bbox_8 gave numbers that are not finite"):
        YuNetLocator(yunet(tmp_path / "nan.onnx", box=np.nan))


def test_absurd_boxes_are_refused_where_faces_come_in(tmp_path):
    wide = YuNetLocator(yunet(tmp_path / "wide.onnx", score=0.9, box=12.0))  # a box's side is e to that
    with pytest.raises(InputError, match=r"YuNet found a face of .* pixels in frame 0"):
        find_faces(wide, np.zeros((96, 96, 3), np.uint8))
