"""Small edits of an onnx_ir graph that several rewrites share: constants, nodes in the place of one, known shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Edits:
    """New values for `graph`, named after `name`: nodes are gathered, and take the place of one by `replace`."""

    def __init__(self, graph: Any, name: str) -> None:
        self._graph, self._name = graph, name
        self._nodes: list[Any] = []

    def constant(self, array: np.ndarray, kind: str) -> Any:
        """An initializer of this content; the name says of what `kind` it is."""
        import onnx_ir as ir

        name = f"{self._name}.{kind}"
        if name in self._graph.initializers:
            return self._graph.initializers[name]
        value = ir.Value(
            name=name,
            shape=ir.Shape(array.shape),
            type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
            const_value=ir.tensor(array, name=name),
        )
        self._graph.register_initializer(value)
        return value

    def sizes(self, *numbers: int) -> Any:
        """A shape: int64, one number a dimension."""
        return self.constant(np.array(numbers), "x".join(map(str, numbers)))

    def node(self, kind: str, *inputs: Any, like: Any = None, shape: Sequence[Any] | None = None, **attributes) -> Any:
        """The output of a new node, of the dtype of `like`, by default the first input, and of `shape`, if known."""
        import onnx_ir as ir

        name = f"{self._name}.{kind}.{len(self._nodes)}"
        self._nodes.append(ir.node(kind, list(inputs), attributes=attributes, name=name))
        value = self._nodes[-1].outputs[0]
        value.name, value.type = name, (inputs[0] if like is None else like).type
        value.shape = None if shape is None else ir.Shape(shape)
        return value

    def replace(self, node: Any, made: Any) -> None:
        """Put the new nodes where `node` is, and `made` in the place of its output, whose name it takes."""
        import onnx_ir as ir

        (output,) = node.outputs
        made.shape = output.shape
        ir.convenience.replace_nodes_and_values(self._graph, node, [node], self._nodes, [output], [made])
        self._nodes = []


def numbers(value: Any) -> list[int] | None:
    """A value that is the same whole numbers always; None for any other."""
    if value is None:
        return None
    if value.const_value is not None:
        return [int(n) for n in value.const_value.numpy().reshape(-1)]
    node = value.producer()
    if node is None or node.op_type != "Constant":
        return None
    for kind in ("value", "value_int", "value_ints"):
        if kind in node.attributes:
            held = node.attributes[kind].value
            return [int(n) for n in np.asarray(held.numpy() if kind == "value" else held).reshape(-1)]
    return None


def sizes_of(value: Any) -> list[Any] | None:
    """A value's shape, a size that is not fixed by its expression; None where one is not known."""
    if value.shape is None:
        return None
    found = [size if isinstance(size, int) else size.value for size in value.shape]
    return None if None in found else found
