"""The user's networks, here little ones of plain sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines.errors import EngineMismatch, InputError
from hp_trt.measure.metrics.networks import open_clip_features, open_picture_distance, open_picture_features


def network(path: Path, op: str, inputs: dict[str, list], *, axes: list[int], kind: int = TensorProto.FLOAT) -> Path:
    """A file that takes the `op` over `axes` of its input, or of the difference of its two."""
    nodes = [helper.make_node("Sub", list(inputs), ["x"])] if len(inputs) == 2 else []
    nodes.append(helper.make_node(op, ["x" if nodes else next(iter(inputs)), "axes"], ["y"], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "sums",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", kind, None)],
        [helper.make_tensor("axes", TensorProto.INT64, [len(axes)], axes)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def test_the_distance_is_asked_of_pictures_in_minus_one_to_one(tmp_path):
    shape = [1, 3, "h", "w"]
    distance = open_picture_distance(
        network(tmp_path / "l.onnx", "ReduceL1", {"a": shape, "b": shape}, axes=[0, 1, 2, 3])
    )
    black, white = np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), 255, np.uint8)
    assert distance(black, white) == 4 * 5 * 3 * 2
    assert distance(white, white) == 0


def test_features_are_rows_of_pictures_resized_to_what_the_file_fixes(tmp_path):
    features = open_picture_features(network(tmp_path / "f.onnx", "ReduceSum", {"a": [1, 3, 8, 6]}, axes=[2, 3]))
    grey = np.full((20, 20, 3), (255, 0, 51), np.uint8)
    np.testing.assert_allclose(features([grey, grey]), [[48, 0, 48 * 0.2]] * 2, rtol=1e-6)


def test_a_clip_is_cut_into_the_pieces_that_the_file_takes(tmp_path):
    path = network(tmp_path / "v.onnx", "ReduceSum", {"a": [1, 3, 2, "h", "w"]}, axes=[3, 4])
    clip = [np.full((2, 2, 3), level, np.uint8) for level in (0, 51, 102, 153, 204)]
    found = open_clip_features(path)(clip)
    np.testing.assert_allclose(found, np.array([[0, 0.8] * 3, [1.6, 2.4] * 3]), rtol=1e-6)
    with pytest.raises(InputError, match="takes 2 frames at a time and the clips have 1"):
        open_clip_features(path)(clip[:1])


def test_an_open_length_is_one_piece(tmp_path):
    path = network(tmp_path / "v.onnx", "ReduceMax", {"a": ["n", 3, "t", "h", "w"]}, axes=[2, 3, 4])
    assert open_clip_features(path)([np.full((2, 2, 3), 255, np.uint8)] * 5).tolist() == [[1, 1, 1]]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p, "no such file"),
        (lambda p: p.write_text("hello"), "is not an ONNX network"),
        (lambda p: network(p, "ReduceSum", {"a": [1, 3, 8]}, axes=[2]), r"takes tensor\(float\) \[1, 3, 8\]; needed"),
        (lambda p: network(p, "ReduceSum", {"a": [1, 1, 8, 8]}, axes=[2]), "needed is a network that takes a picture"),
        (lambda p: network(p, "ReduceSum", {"a": [1, 3, 8, 8]}, axes=[2], kind=TensorProto.DOUBLE), "of float32"),
        (
            lambda p: network(p, "ReduceSum", {"a": [1, 3, 10**6, 8]}, axes=[2]),
            "1000000 pixels or frames at once, at most",
        ),
        (lambda p: network(p, "ReduceSum", {"a": [1, 3, 8, 8], "b": [1, 3, 8, 8]}, axes=[2]), "needed is a network"),
    ],
    ids="none text rank colours double large two".split(),
)
def test_what_is_no_such_network_gets_one_line(tmp_path, make, says):
    make(tmp_path / "f.onnx")
    with pytest.raises(InputError, match=says) as told:
        open_picture_features(tmp_path / "f.onnx")
    assert "\n" not in str(told.value)


def test_a_distance_that_is_not_one_number_is_refused(tmp_path):
    shape = [1, 3, "h", "w"]
    path = network(tmp_path / "l.onnx", "ReduceSum", {"a": shape, "b": shape}, axes=[2, 3])
    with pytest.raises(InputError, match="needed is one number"):
        open_picture_distance(path)(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8))


def test_what_it_cannot_run_on_and_what_is_not_finite_is_told(tmp_path):
    shape = [1, 3, "h", "w"]
    nan = network(tmp_path / "n.onnx", "ReduceLogSum", {"a": shape}, axes=[2, 3])  # the logarithm of nothing
    with pytest.raises(InputError, match="not finite"):
        open_picture_features(nan)([np.zeros((4, 4, 3), np.uint8)])


def test_features_that_are_not_as_many_for_every_picture_are_refused(tmp_path):
    path = network(tmp_path / "f.onnx", "ReduceSum", {"a": [1, 3, "h", "w"]}, axes=[1])
    features = open_picture_features(path)
    with pytest.raises(InputError, match=r"f\.onnx gave 16 numbers, then 25; give another file"):
        features([np.zeros((4, 4, 3), np.uint8), np.zeros((5, 5, 3), np.uint8)])


@pytest.mark.usefixtures("no_onnx_runtime")
def test_without_onnx_runtime_it_says_how_to_install_it(tmp_path):
    (tmp_path / "f.onnx").touch()
    with pytest.raises(EngineMismatch, match="onnxruntime is not installed; pip install"):
        open_picture_features(tmp_path / "f.onnx")


def test_a_network_of_pictures_again_is_refused_before_their_covariance_fills_the_memory(tmp_path):
    path = network(tmp_path / "f.onnx", "ReduceSum", {"a": [1, 3, 64, 65]}, axes=[1])
    with pytest.raises(InputError, match="gives 4160 numbers for a picture or a piece, at most 4096 are compared"):
        open_picture_features(path)([np.zeros((8, 8, 3), np.uint8)])
