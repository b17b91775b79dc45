"""Reshapes of a graph, simplified: the same result from fewer nodes, and none where a size would be lost."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.passes import common

from export.graphs.reshapes import simplify_reshapes


def graph_of(*targets: list[int], shapes: list[list]) -> ir.Model:
    """x (n, 6) through a Reshape to each of the targets; `shapes` are what is known of the results."""
    x = ir.Value(name="x", shape=ir.Shape(["n", 6]), type=ir.TensorType(ir.DataType.FLOAT))
    graph = ir.Graph([x], [], nodes=[], opset_imports={"": 23}, name="g")
    value = x
    for i, (target, shape) in enumerate(zip(targets, shapes, strict=True)):
        sizes = ir.Value(name=f"t{i}", const_value=ir.tensor(np.array(target), name=f"t{i}"))
        graph.register_initializer(sizes)
        node = ir.node("Reshape", [value, sizes])
        graph.append(node)
        value = node.outputs[0]
        value.name, value.shape, value.type = f"y{i}", ir.Shape(shape), x.type
    graph.outputs.append(value)
    return ir.Model(graph, ir_version=10)


def simplified(model: ir.Model) -> list[str]:
    simplify_reshapes(model)
    common.RemoveUnusedNodesPass()(model)
    return [node.op_type for node in model.graph]


def run(model: ir.Model, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_a_chain_is_one_reshape():
    model = graph_of([-1, 2, 3], [-1, 3, 2], [-1, 2], shapes=[["n", 2, 3], ["n", 3, 2], ["3*n", 2]])
    assert simplified(model) == ["Reshape"]
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.testing.assert_array_equal(run(model, x), x.reshape(-1, 2))


def test_a_zero_copies_a_size_of_the_reshape_before_so_that_one_stays():
    model = graph_of([-1, 3], [0, 1, 3], shapes=[["2*n", 3], ["2*n", 1, 3]])
    assert simplified(model) == ["Reshape", "Reshape"]
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    np.testing.assert_array_equal(run(model, x), x.reshape(4, 1, 3))


def test_there_and_back_is_nothing():
    x = ir.Value(name="x", shape=ir.Shape(["n", 6]), type=ir.TensorType(ir.DataType.FLOAT))
    model = graph_of([-1, 2, 3], [-1, 6], shapes=[["n", 2, 3], ["n", 6]])
    last = model.graph.outputs[0]
    relu = ir.node("Relu", [last])
    model.graph.append(relu)
    relu.outputs[0].name, relu.outputs[0].shape, relu.outputs[0].type = "y", last.shape, x.type
    model.graph.outputs[0] = relu.outputs[0]
    assert simplified(model) == ["Relu"]


def test_two_sizes_that_are_not_fixed_are_still_computed():
    model = graph_of([-1, 2, 3], shapes=[["n", "m", 3]])
    shape = ir.node("Shape", [model.graph.inputs[0]])
    model.graph.insert_before(model.graph[0], shape)
    model.graph[1].replace_input_with(1, shape.outputs[0])
    assert simplified(model) == ["Shape", "Reshape"]
