from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineMismatch, InputError
from hp_trt.faces.yoloface import YoloFaceLocator, detections, grids, network_input, open_network


def row(cx: float, cy: float, w: float, h: float, objectness: float = 0.9, certainty: float = 1.0) -> np.ndarray:
    landmarks = np.array([[cx, cy]] * 5).ravel()
    return np.array([cx, cy, w, h, objectness, *landmarks, certainty], np.float32)


def found(*rows: np.ndarray):
    return detections(np.array([rows]).reshape(1, -1, 16), image_size=(416, 416), network_size=(416, 416))


def test_sides_are_rounded_up_to_a_multiple_of_32():
    assert network_input(np.zeros((480, 640, 3), np.uint8)).shape == (1, 3, 416, 576)


def test_grids_hold_x_before_y():
    assert grids(416, 576)[2][0, 0, 3, 5].tolist() == [5, 3]


def test_of_two_overlapping_boxes_the_surer_one_stays():
    faces = found(row(100, 100, 50, 50, 0.8), row(102, 100, 50, 50, 0.95), row(300, 300, 40, 40))
    assert [face.box[0] for face in faces] == [77, 280]


def test_a_row_needs_both_its_objectness_and_its_certainty():
    assert not found(row(100, 100, 50, 50, 0.5), row(200, 200, 50, 50, 0.7, 0.7))


def test_no_rows_are_no_faces():
    assert found() == []


def test_boxes_and_landmarks_return_to_the_pictures_pixels():
    def network(image, cells):
        assert [c.shape[2:4] for c in cells] == [(52, 104), (26, 52), (13, 26)]
        return np.array([[row(image.shape[3] / 2, image.shape[2] / 2, 83.2, 41.6)]])

    face = YoloFaceLocator(network).locate(np.zeros((200, 400, 3), np.uint8))[0]
    assert face.box == pytest.approx((180, 90, 40, 20), abs=1e-4)  # float32 rows
    assert face.landmarks[2] == pytest.approx([200, 100], abs=1e-4)


def test_a_torchscript_network_runs_as_published(tmp_path):
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):
        def forward(self, image: torch.Tensor, cells: list[torch.Tensor]) -> torch.Tensor:
            return torch.full([1, cells[2].shape[2], 16], float(image.shape[3]))

    path = tmp_path / "yoloface.pt"
    torch.jit.script(Net()).save(str(path))
    image = network_input(np.zeros((64, 64, 3), np.uint8))
    rows = open_network(path)(image, grids(*image.shape[2:]))
    assert rows.shape == (1, 13, 16)
    assert (rows == 416).all()


def onnx_network(path, inputs: list[str]) -> None:
    """A network that adds its first value to 7 and returns it as one row."""
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("ReduceSum", [inputs[0]], ["total"], keepdims=0),
        helper.make_node("Add", ["total", "seven"], ["rows"]),
    ]
    graph = helper.make_graph(
        nodes,
        "yoloface",
        [helper.make_tensor_value_info(name, floats, None) for name in inputs],
        [helper.make_tensor_value_info("rows", floats, [1, 1, 16])],
        [helper.make_tensor("seven", floats, [1, 1, 16], [7.0] * 16)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)


def test_a_converted_network_gets_the_picture_and_three_grids(tmp_path):
    path = tmp_path / "yoloface.onnx"
    onnx_network(path, ["image", "grid8", "grid16", "grid32"])
    image = network_input(np.zeros((64, 64, 3), np.uint8))
    assert open_network(path)(image, grids(*image.shape[2:])).tolist() == [[[7.0] * 16]]


def test_a_network_with_other_inputs_is_refused(tmp_path):
    onnx_network(tmp_path / "other.onnx", ["data"])
    with pytest.raises(InputError, match="takes data; a YoloFace network takes a picture and three grids"):
        open_network(tmp_path / "other.onnx")


@pytest.mark.parametrize("name", ["broken.onnx", "broken.pt", "broken.bin"])
def test_a_file_that_is_no_network_is_an_input_error(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match=name):
        open_network(path)


@pytest.mark.usefixtures("no_onnx_runtime")
def test_without_onnx_runtime_it_says_how_to_install_it(tmp_path):
    with pytest.raises(EngineMismatch, match="onnxruntime is not installed; pip install"):
        open_network(tmp_path / "yoloface.onnx")
