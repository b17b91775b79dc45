"""A graph without its weights computes what it did with them, and holds none of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from export.shipping.weightless import Entries, weightless

GENERATOR = np.random.default_rng(0)
TRAINED = {f"net/{name}": GENERATOR.standard_normal((48, 40)).astype(np.float16) for name in ("plain", "turned")}
TRAINED |= {f"net/{name}": GENERATOR.standard_normal((16, 40)).astype(np.float16) for name in ("pose", "face", "lips")}
TRAINED["net/whole"] = GENERATOR.standard_normal((120, 40)).astype(np.float16)
OTHER = {"live/bias": GENERATOR.standard_normal(48).astype(np.float16)}
FOLDED = GENERATOR.standard_normal(48).astype(np.float32)  # is in no file


def constants() -> dict[str, np.ndarray]:
    """As export lays them out: in float32, some the other way round, some cut from a larger one."""
    return {
        "plain": TRAINED["net/plain"].astype(np.float32),  # (48, 40)
        "turned": np.ascontiguousarray(TRAINED["net/turned"].T.astype(np.float32)),  # (40, 48)
        "cut": TRAINED["net/whole"][40:80].astype(np.float32),  # (40, 40)
        "half": np.ascontiguousarray(TRAINED["net/whole"][80:].T.astype(np.float32)),  # (40, 40), cut and turned
        "spread": OTHER["live/bias"].astype(np.float32).reshape(48, 1)[:40],  # a part, in another shape
        "bias": OTHER["live/bias"].astype(np.float32),
        "joined": np.concatenate([TRAINED[f"net/{n}"].T.astype(np.float32) for n in ("pose", "face", "lips")], axis=1),
        "folded": FOLDED,
        "few": np.float32([2.5]),
        "large": np.full(40, 1e6, np.float32),  # no number of float16
    }


def graph(folder: Path) -> Path:
    """A chain of products and sums of all constants, whose values are in a file beside it."""
    nodes = [
        helper.make_node("MatMul", ["x", "turned"], ["t"]),  # (n, 40) -> (n, 48)
        helper.make_node("MatMul", ["x", "joined"], ["u"]),  # three turned ones beside each other
        helper.make_node("Add", ["t", "u"], ["a"]),
        helper.make_node("Add", ["a", "folded"], ["b"]),
        helper.make_node("Add", ["b", "bias"], ["c"]),
        helper.make_node("MatMul", ["c", "plain"], ["d"]),  # -> (n, 40)
        helper.make_node("MatMul", ["d", "cut"], ["e"]),
        helper.make_node("MatMul", ["e", "half"], ["f"]),
        helper.make_node("Add", ["f", "large"], ["g"]),
        helper.make_node("Mul", ["g", "few"], ["h"]),
        helper.make_node("MatMul", ["half", "spread"], ["i"]),  # -> (40, 1)
        helper.make_node("Squeeze", ["i"], ["j"]),
        helper.make_node("Add", ["h", "j"], ["y"]),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants().items()]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 40]) for name in "xy")
    whole = helper.make_graph(nodes, "g", [x], [y], initializers)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    onnx.save(model, folder / "g.onnx", save_as_external_data=True, location="g.onnx.data", size_threshold=0)
    return folder / "g.onnx"


@pytest.fixture
def entries(tmp_path) -> Entries:
    save_file(TRAINED, tmp_path / "trained.safetensors", metadata={"hp-trt": "{}"})
    save_file(OTHER, tmp_path / "live.safetensors")
    return Entries([tmp_path / "trained.safetensors", tmp_path / "live.safetensors"])


def run(path: Path) -> np.ndarray:
    x = np.random.default_rng(1).standard_normal((5, 40)).astype(np.float32)
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def test_it_computes_the_same_bits_from_the_files_alone(tmp_path, entries):
    exported = graph(tmp_path)
    onnx.save(weightless(exported, entries).model, tmp_path / "w.onnx")
    expected = run(exported)
    exported.with_name("g.onnx.data").unlink()
    assert np.array_equal(run(tmp_path / "w.onnx"), expected)


def test_what_is_in_a_file_is_pointed_at_and_the_rest_stays(tmp_path, entries):
    made = weightless(graph(tmp_path), entries)
    tensors = made.model.graph.initializer
    places = {tensor.name: {entry.key: entry.value for entry in tensor.external_data} for tensor in tensors}
    inside = {name for name, place in places.items() if not place}
    assert inside == {"folded", "few", "large"} and made.kept_bytes == 4 * (48 + 1 + 40)
    assert {place["location"] for name, place in places.items() if name not in inside} == set(made.files)
    assert made.files == ("live.safetensors", "trained.safetensors")
    assert made.read_bytes == 2 * (48 * 40 + 48 * 40 + 3 * 16 * 40 + 2 * 40 * 40 + 48 + 40)
    for name, values in (TRAINED | OTHER).items():
        if name in places:
            place = places[name]
            content = (tmp_path / place["location"]).read_bytes()
            at, length = int(place["offset"]), int(place["length"])
            assert content[at : at + length] == values.tobytes()
    assert {"net/plain", "net/turned", "net/pose", "net/face", "net/lips", "live/bias"} <= set(places)


def test_one_other_bit_is_another_value(tmp_path, entries):
    value = TRAINED["net/plain"].astype(np.float32)
    assert entries.find(value) is not None
    value[3, 4] = np.nextafter(value[3, 4], np.float32(10))
    assert entries.find(value) is None


def test_the_same_graph_gives_the_same_bytes(tmp_path, entries):
    exported = graph(tmp_path)
    one, other = (weightless(exported, entries).model.SerializeToString(deterministic=True) for _ in range(2))
    assert one == other
