"""Attention of tokens as they lie, (N, S, heads*d), for graphs in float32.

`Attention` takes queries, keys and values with the heads apart, (N, heads, S, d), or side by side. PyTorch has them
apart, so every attention of a trace has four transpositions round it. ONNX Runtime's kernel reads heads side by side in
place, and OpenVINO and TensorRT for RTX take that form too.

float32 only: in half precision the form with the heads apart is the one whose fused kernels were tried
(`export/plans/attention.py`).
"""

from __future__ import annotations

from typing import Any

from export.graphs.edits import Edits, sizes_of


def attend_to_tokens(model: Any) -> None:  # onnx_ir.Model, changed in place
    """Every float32 `Attention` round which heads are split and merged, with the heads side by side."""
    import onnx_ir as ir

    for node in list(model.graph):
        if node.op_type == "Attention" and node.inputs[0].dtype == ir.DataType.FLOAT:
            _rewrite(model.graph, node)


def _rewrite(graph: Any, node: Any) -> None:
    last = _merged(node)
    edits = Edits(graph, f"{node.name}.tokens")
    tokens = [_whole(edits, value) for value in node.inputs]
    if last is None or any(value is None for value in tokens):
        return
    heads = int(node.inputs[0].shape[1])
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    attended = edits.node(
        "Attention", *tokens, shape=sizes_of(tokens[0]), q_num_heads=heads, kv_num_heads=heads, **attributes
    )
    edits.replace(last, edits.node("Reshape", attended, last.inputs[1]))


def _whole(edits: Edits, value: Any) -> Any:
    """The tokens (N, S, heads*d) whose heads are apart in `value` (N, heads, S, d); None where they never were one."""
    node = None if value is None else value.producer()
    split = node.inputs[0].producer() if node is not None and _swaps(node) else None
    sizes = None if value is None else sizes_of(value)
    if split is None or split.op_type != "Reshape" or sizes is None:
        return None
    batch, heads, count, width = sizes
    if not isinstance(heads, int) or not isinstance(width, int):
        return None
    tokens, wanted = split.inputs[0], [batch, count, heads * width]
    if sizes_of(tokens) == wanted:
        return tokens
    if not isinstance(count, int):
        return None
    return edits.node("Reshape", tokens, edits.sizes(-1, count, wanted[2]), shape=wanted)


def _merged(node: Any) -> Any:
    """The Reshape that puts an attention's heads side by side; None where nothing, or something else too, does."""
    for kind in ("Transpose", "Reshape"):
        users = list(node.outputs[0].consumers())
        if len(users) != 1 or users[0].op_type != kind or (kind == "Transpose" and not _swaps(users[0])):
            return None
        node = users[0]
    return node


def _swaps(node: Any) -> bool:
    """Whether it exchanges heads and tokens."""
    return node.op_type == "Transpose" and tuple(node.attributes["perm"].value) == (0, 2, 1, 3)
