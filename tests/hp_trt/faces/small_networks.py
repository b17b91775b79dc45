"""Very small ONNX networks with any inputs and outputs, to be taken for one that they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

FLOAT, INT64, DOUBLE = 1, 7, 11  # ONNX's numbers
Dims = Sequence[int | str] | None


def network(
    path: Path,
    inputs: Mapping[str, Dims],
    outputs: Mapping[str, tuple[Sequence[int], float]],
    *,
    kind: int = FLOAT,
    said: bool = True,
    domain: str = "",
    fails: bool = False,
) -> Path:
    """Each output is a constant of a shape and a value, plus nothing times the first input's sum.

    `fails`: only when it is run.
    """
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    first = next(iter(inputs))
    number = {FLOAT: np.float32, INT64: np.int64, DOUBLE: np.float64}[kind]
    constants = {f"c_{name}": np.full(shape, value, number) for name, (shape, value) in outputs.items()}
    constants["zero"] = np.zeros((), number)
    constants["seven"] = np.array([7], np.int64)
    nodes = [
        helper.make_node("Reshape" if fails else "Identity", [first, "seven"] if fails else [first], ["seen"]),
        helper.make_node("ReduceSum", ["seen"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"], domain=domain),
        *(helper.make_node("Add", [f"c_{name}", "nothing"], [name]) for name in outputs),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, kind, dims) for name, dims in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape if said else None) for name, (shape, _) in outputs.items()],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    imports = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=10), path)
    return path


def yunet(path: Path, *, kps: int = 10, score: float = -1.0, box: float = 0.0, missing: str = "") -> Path:
    """A network with YuNet's inputs and outputs: the same numbers in every cell of a grid, five landmarks apart."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    nodes, outputs, constants = [], [], {}
    for stride in (8, 16, 32):
        pooled = f"pooled_{stride}"
        nodes.append(
            helper.make_node("MaxPool", ["input"], [pooled], kernel_shape=[stride, stride], strides=[stride, stride])
        )
        for kind, (count, value) in {"cls": (1, score), "obj": (1, score), "bbox": (4, box), "kps": (kps, 0.1)}.items():
            name = f"{kind}_{stride}"
            if name == missing:
                continue
            constants[f"w_{name}"] = np.zeros((count, 3, 1, 1), np.float32)
            apart = np.arange(count) / 10 if kind == "kps" else np.zeros(count)
            constants[f"b_{name}"] = (value + apart).astype(np.float32)
            constants[f"s_{name}"] = np.array([1, -1, count], np.int64)
            nodes += [
                helper.make_node("Conv", [pooled, f"w_{name}", f"b_{name}"], [f"conv_{name}"]),
                helper.make_node("Transpose", [f"conv_{name}"], [f"last_{name}"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"last_{name}", f"s_{name}"], [name]),
            ]
            outputs.append(helper.make_tensor_value_info(name, FLOAT, [1, "n", count]))
    graph = helper.make_graph(
        nodes,
        "yunet",
        [helper.make_tensor_value_info("input", FLOAT, [1, 3, 640, 640])],
        outputs,
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6), path)
    return path
