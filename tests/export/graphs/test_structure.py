"""The structure of a graph: what is left of it without the values of its weights."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.graphs.structure import structure


def save(path, *, weight: float = 1.0, width: int = 4, shape: int = 2):
    """A graph with one weight and one shape among its constants."""
    values = {"w": np.full(width, weight, np.float32), "s": np.array([shape, -1])}
    constants = [numpy_helper.from_array(array, name) for name, array in values.items()]
    nodes = [helper.make_node("Mul", ["x", "w"], ["m"]), helper.make_node("Reshape", ["m", "s"], ["y"])]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "y")]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializer=constants)
    onnx.save(
        helper.make_model(made),
        path,
        save_as_external_data=True,
        location=path.name + ".data",
        size_threshold=0,
    )
    return path


def test_the_structure_is_the_same_with_other_weights_and_another_with_other_shapes(tmp_path):
    plain = structure(save(tmp_path / "a.onnx"))
    assert structure(save(tmp_path / "b.onnx", weight=2.0)) == plain
    assert structure(save(tmp_path / "c.onnx", width=8)) != plain
    assert structure(save(tmp_path / "d.onnx", shape=1)) != plain
