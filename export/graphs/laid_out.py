"""Weights laid out as their products want them, once, when a graph is exported.

A linear multiplies by its weight transposed, a GEGLU by its halves, a convolution along time by its weight less a
dimension. The trace does that in the graph, for every opening anew, and where it is small enough to be folded its name
is lost. Here each is an initializer whose name says what it is made of: that of the parameter and, after a slash each,

    0:256         these of its first dimension
    64x64x3x1     reshaped
    transposed    its two dimensions exchanged

so `unet.(...).proj.weight/0:256/transposed` is the value half of a GEGLU. No number changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.graphs.edits import numbers


@dataclass(frozen=True)
class Sliced:
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.start}:{self.stop}"

    def of(self, array: np.ndarray) -> np.ndarray:
        return array[self.start : self.stop]


@dataclass(frozen=True)
class Reshaped:
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return "x".join(map(str, self.shape))

    def of(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(self.shape)


@dataclass(frozen=True)
class Transposed:
    def __str__(self) -> str:
        return "transposed"

    def of(self, array: np.ndarray) -> np.ndarray:
        return array.T


Step = Sliced | Reshaped | Transposed


def left_for_layout(model: Any) -> Callable[[Any], bool | None]:
    """For a folder of constants: False for what `lay_out_weights` does to a parameter, which would lose its name; None
    for all else."""
    parameters = {name for name, value in model.graph.initializers.items() if _is_parameter(value)}

    def should_fold(node: Any) -> bool | None:
        return False if node.op_type in _STEPS and node.inputs[0].name in parameters else None

    return should_fold


def lay_out_weights(model: Any) -> None:  # onnx_ir.Model, changed in place
    """Every Transpose, half, Squeeze and Reshape of an initializer of floats as an initializer of its own."""
    for node in list(model.graph):  # in order: what is made of what was made before comes later
        if node.op_type in _STEPS and _is_parameter(node.inputs[0]):
            for output, step in _STEPS[node.op_type](node):
                output.replace_all_uses_with(laid_out(model.graph, node.inputs[0], step))


def laid_out(graph: Any, weight: Any, step: Step) -> Any:
    """The initializer that is `weight`, another, after this step."""
    import onnx_ir as ir

    name = f"{weight.name}/{step}"
    if name in graph.initializers:
        return graph.initializers[name]
    array = np.ascontiguousarray(step.of(weight.const_value.numpy()))
    tensor = ir.tensor(array, dtype=weight.dtype, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(weight.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def _is_parameter(value: Any) -> bool:
    return value is not None and value.is_initializer() and value.dtype.is_floating_point()


def _transpose(node: Any) -> list[tuple[Any, Step]]:
    perm = tuple(node.attributes["perm"].value)
    return [(node.outputs[0], Transposed())] if perm == (1, 0) else []


def _split(node: Any) -> list[tuple[Any, Step]]:
    if "axis" in node.attributes and node.attributes["axis"].value != 0:
        return []
    found: list[tuple[Any, Step]] = []
    start = 0
    for output in node.outputs:
        stop = start + int(output.shape[0])
        found.append((output, Sliced(start, stop)))
        start = stop
    return found


def _reshape(node: Any) -> list[tuple[Any, Step]]:
    if node.op_type == "Reshape" and numbers(node.inputs[1]) is None:
        return []
    return [(node.outputs[0], Reshaped(tuple(int(size) for size in node.outputs[0].shape)))]


_STEPS = {"Transpose": _transpose, "Split": _split, "Squeeze": _reshape, "Unsqueeze": _reshape, "Reshape": _reshape}
