from __future__ import annotations

import zipfile

import numpy as np
import pytest

from engines.errors import EngineMismatch, InputError
from hp_trt.faces.found import find_faces
from hp_trt.faces.yoloface import YoloFaceLocator, detections, grids, network_input, open_network
from tests.hp_trt.faces.small_networks import INT64, network


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
    with pytest.raises(
        InputError,
        match=r"takes data float\[\] .*; a YoloFace network takes a picture .* and three",
    ):
        open_network(tmp_path / "other.onnx")


INPUTS = {
    "picture": [1, 3, "h", "w"],
    "grid8": [1, 1, "a", "b", 2],
    "grid16": [1, 1, "c", "d", 2],
    "grid32": [1, 1, "e", "f", 2],
}
ROWS = {"rows": ([1, 5, 16], 7.0)}


@pytest.mark.parametrize(
    ("inputs", "outputs", "options", "says"),
    [
        (dict(list(INPUTS.items())[:3]), ROWS, {}, "takes picture .*, grid16 .* and gives rows"),
        (INPUTS | {"picture": [1, 1, "h", "w"]}, ROWS, {}, r"takes picture float\[1, 1, 'h', 'w'\]"),
        (INPUTS | {"grid16": [1, 1, "c", "d", 4]}, ROWS, {}, r"grid16 float\[1, 1, 'c', 'd', 4\]"),
        (INPUTS, {"rows": ([1, 5, 85], 7.0)}, {}, r"gives rows float\[1, 5, 85\]"),
        (INPUTS, ROWS, {"kind": INT64}, "takes picture int64"),
        (INPUTS | {"picture": [1, 3, 10**6, 10**6]}, ROWS, {}, r"takes pictures of \[1000000, 1000000\] pixels"),
        (
            dict.fromkeys(INPUTS),
            {"rows": ([1, 85], 7.0)},
            {"said": False},
            r"as YoloFace, gave numbers of shape \[1, 85\]",
        ),
        (INPUTS, ROWS, {"fails": True}, r"does not run as YoloFace on 64 x 64 pixels \("),
        (INPUTS, {"rows": ([1, 5, 16], np.nan)}, {}, "run as YoloFace, gave numbers that are not finite"),
        (INPUTS, ROWS, {"domain": "com.example"}, r"is not an ONNX network that onnxruntime can open \("),
    ],
)
def test_another_network_is_refused_at_opening_with_what_it_is(tmp_path, inputs, outputs, options, says):
    path = network(tmp_path / "other.onnx", inputs, outputs, **options)
    with pytest.raises(InputError, match=f"other.onnx.*{says}") as told:
        open_network(path)
    assert "\n" not in str(told.value) and "give the published yoloface_v5m.pt" in str(told.value)


def test_absurd_boxes_are_refused_where_faces_come_in(tmp_path):
    path = network(tmp_path / "wide.onnx", INPUTS, {"rows": ([1, 5, 16], 6e4)})
    with pytest.raises(InputError, match=r"YoloFace found a face of .* pixels in frame 3"):
        find_faces(YoloFaceLocator(open_network(path)), np.zeros((64, 64, 3), np.uint8), 3)


def test_another_torchscript_module_is_refused_at_opening(tmp_path):
    torch = pytest.importorskip("torch")

    class Other(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image

    path = tmp_path / "other.pt"
    torch.jit.script(Other()).save(str(path))
    with pytest.raises(InputError, match=r"other.pt does not run as YoloFace on 64 x 64 pixels \(") as told:
        open_network(path)
    assert "\n" not in str(told.value)
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(InputError, match=r"other.pt is not a TorchScript file \("):
        open_network(path)


def test_an_archive_that_unpacks_to_a_thousand_times_its_size_is_not_opened(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr("hp_trt.faces.networks._LARGEST_BYTES", 10**7)
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data/0", bytes(2 * 10**7))
    assert path.stat().st_size < 10**5
    with pytest.raises(InputError, match=r"bomb.pt is not a TorchScript file \(it unpacks to 0.0 GB\)"):
        open_network(path)


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
