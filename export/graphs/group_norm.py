"""Group normalisation in a form that ONNX Runtime computes accurately.

ONNX Runtime takes `GroupNormalization` apart into E[x^2] - E[x]^2, which loses all digits where a group hardly
varies: at a coarse level of one or two cells a reduced UNet came out 3e-3 off. `InstanceNormalization` over the
groups subtracts the mean first: 1.5e-5 on the same network, and no slower.

float32 only: in half precision `GroupNormalization` says itself that it adds up in float32, the other does not.
"""

from __future__ import annotations

import numpy as np


def rewrite_group_norms(model) -> None:  # onnx_ir.Model, changed in place
    """Every float32 `GroupNormalization` as Reshape, InstanceNormalization, Reshape, Mul, Add."""
    import onnx_ir as ir

    for node in list(model.graph):
        if node.op_type == "GroupNormalization" and node.inputs[0].dtype == ir.DataType.FLOAT:
            _rewrite(model.graph, node)


def _rewrite(graph, node) -> None:
    import onnx_ir as ir

    x, scale, bias = node.inputs
    out = node.outputs[0]
    groups, epsilon = node.attributes["num_groups"].value, node.attributes["epsilon"].value
    weights = [tensor.const_value.numpy() for tensor in (scale, bias)]
    per_channel = (weights[0].size,) + (1,) * (len(x.shape) - 2)
    new: list[ir.Node] = []

    def constant(name: str, array: np.ndarray) -> ir.Value:
        name = f"{out.name}.{name}"
        value = ir.Value(
            name=name,
            shape=ir.Shape(array.shape),
            type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
            const_value=ir.tensor(array, name=name),
        )
        graph.register_initializer(value)
        return value

    def add(kind: str, *inputs: ir.Value, **attributes: float) -> ir.Value:
        new.append(ir.node(kind, list(inputs), attributes=attributes))
        return new[-1].outputs[0]

    grouped = add("Reshape", x, constant("grouped", np.array([0, groups, -1])))
    ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    plain = add("InstanceNormalization", grouped, constant("ones", ones), constant("zeros", zeros), epsilon=epsilon)
    whole = add("Reshape", plain, _shape_of(x, constant, add))
    scaled = add("Mul", whole, constant("scale", weights[0].reshape(per_channel)))
    shifted = add("Add", scaled, constant("bias", weights[1].reshape(per_channel)))
    shifted.name, shifted.shape, shifted.type = f"{out.name}.normalised", out.shape, out.type
    ir.convenience.replace_nodes_and_values(graph, node, [node], new, [out], [shifted])


def _shape_of(x, constant, add):
    """What Reshape needs to restore x's shape: a constant where at most one size beside the batch is unknown."""
    sizes = [size if isinstance(size, int) else -1 for size in list(x.shape)[1:]]
    if sizes.count(-1) <= 1:
        return constant("whole", np.array([0, *sizes]))  # 0: the batch stays as it is
    return add("Shape", x)
