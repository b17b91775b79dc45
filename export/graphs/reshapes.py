"""Reshapes with less around them: no arithmetic of sizes where there is one unknown, and none twice in a row.

The exporter asks for every size that is not fixed (Shape, Squeeze, Mul, Concat) though -1 says the same of one, and
writes each of PyTorch's reshapes as a node of its own. The numbers that come out are the same bits. Of the pocket
denoiser's nodes it is every tenth; a node is 5 microseconds or more on ONNX Runtime, whatever it does.
"""

from __future__ import annotations

from typing import Any

from export.graphs.edits import Edits, numbers, sizes_of


def simplify_reshapes(model: Any) -> None:  # onnx_ir.Model, changed in place
    """Constant targets, chains of Reshape as one, and none that gives what it is given."""
    for node in list(model.graph):
        if node.op_type == "Reshape":
            _said(model.graph, node)
    for node in list(model.graph):
        if node.op_type == "Reshape":
            _merged(node)
    for node in list(model.graph):
        if node.op_type == "Reshape" and node.outputs[0] not in model.graph.outputs:
            given, made = sizes_of(node.inputs[0]), sizes_of(node.outputs[0])
            if given is not None and given == made:
                node.outputs[0].replace_all_uses_with(node.inputs[0])


def _said(graph: Any, node: Any) -> None:
    """A target that is computed, as a constant where at most one of its sizes is not fixed."""
    made = sizes_of(node.outputs[0])
    if made is None or numbers(node.inputs[1]) is not None:
        return
    target = [size if isinstance(size, int) else -1 for size in made]
    if target.count(-1) > 1 or 0 in target:
        return
    edits = Edits(graph, f"{node.outputs[0].name}.target")
    node.replace_input_with(1, edits.sizes(*target))


def _merged(node: Any) -> None:
    """What the Reshape before this one was given: only its elements count, unless a 0 copies a size of it."""
    target = numbers(node.inputs[1])
    while (before := node.inputs[0].producer()) is not None and before.op_type == "Reshape":
        if target is None or 0 in target:
            return
        node.replace_input_with(0, before.inputs[0])
