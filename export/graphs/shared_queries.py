"""Two attentions of one query, in a form that TensorRT for RTX can compile.

Its compiler (1.7.1, every capability) ends the process with a segmentation fault where two `Attention` operators take
the same query and one is not the other's input: it seems to merge them. Our temporal cross-attention does that: image
tokens and the window's mean motion are asked by all tokens of a row, (R, heads, F*S, width) each. Asked frame by frame,
(R*F, heads, S, width), with keys and values repeated, the second gives the same numbers and is another query. What
is repeated are 64 tokens after their projections: nothing beside the query.
"""

from __future__ import annotations

from typing import Any

from export.graphs.edits import Edits


def separate_shared_queries(model) -> None:  # onnx_ir.Model, changed in place
    """Every second `Attention` of a query that was made of (R*F, S, C) asks frame by frame."""
    seen = set()
    for node in list(model.graph):
        if node.op_type != "Attention" or (source := _source(node.inputs[0])) is None:
            continue
        key = (id(source), tuple(map(str, node.inputs[0].shape)))
        if key in seen:
            _ask_by_frame(model.graph, node, source)
        seen.add(key)


def _source(query):
    """The (R*F, S, C) that this (R, heads, F*S, width) was made of, by Reshape, Reshape, Transpose; else None."""
    value = query
    for kind in ("Transpose", "Reshape", "Reshape"):
        node = value.producer()
        if node is None or node.op_type != kind:
            return None
        value = node.inputs[0]
    sizes = [value.shape[1], query.shape[1], query.shape[3]] if value.shape is not None else []
    if not sizes or not all(isinstance(size, int) for size in sizes):
        return None
    asked = query.shape[2]  # F*S; no number where the window is as long as the caller wants it
    return value if not isinstance(asked, int) or asked > sizes[0] else None


def _ask_by_frame(graph, node, source) -> None:
    query, keys, values = node.inputs[:3]
    heads, width = int(query.shape[1]), int(query.shape[3])
    batch, cells, together = source.shape
    last = node.outputs[0]
    for kind in ("Transpose", "Reshape", "Reshape"):  # back to (R*F, S, C)
        (user,) = last.consumers()
        assert user.op_type == kind, f"{node.name}: {user.op_type} follows where {kind} should"
        last = user.outputs[0]
    edits = Edits(graph, f"{node.name}.by_frame")

    def apart(tokens: Any, count: int) -> Any:
        split = edits.node("Reshape", tokens, edits.sizes(-1, count, heads, width), shape=[batch, count, heads, width])
        return edits.node("Transpose", split, perm=[0, 2, 1, 3], shape=[batch, heads, count, width])

    def once_a_frame() -> Any:
        asked = query.shape[2]  # F*S; no number where the window is as long as the caller wants it
        if isinstance(asked, int):
            return edits.sizes(1, asked // cells, 1, 1)
        cells_of_window = edits.node("Shape", query, like=edits.sizes(1), shape=[1], start=2, end=3)
        frames = edits.node("Div", cells_of_window, edits.sizes(cells), shape=[1])
        return edits.node("Concat", edits.sizes(1), frames, edits.sizes(1, 1), shape=[4], axis=0)

    def repeated(context: Any) -> Any:
        tokens = _tokens(context)
        _, count, all_heads = tokens.shape
        each = edits.node("Expand", edits.node("Unsqueeze", tokens, edits.sizes(1)), once_a_frame())
        flat = edits.node("Reshape", each, edits.sizes(-1, count, all_heads), shape=[batch, count, all_heads])
        return apart(flat, count)

    again = edits.node(
        "Attention",
        apart(source, cells),
        repeated(keys),
        repeated(values),
        shape=[batch, heads, cells, width],
        **{name: attribute.value for name, attribute in node.attributes.items()},
    )
    merged = edits.node("Transpose", again, perm=[0, 2, 1, 3], shape=[batch, cells, heads, width])
    edits.replace(last.producer(), edits.node("Reshape", merged, edits.sizes(-1, cells, together)))


def _tokens(context: Any) -> Any:
    """Keys or values (R, heads, n, width) as (R, n, heads*width), before their heads were split."""
    value = context
    for kind in ("Transpose", "Reshape"):
        node = value.producer()
        assert node is not None and node.op_type == kind, f"{context.name}: its heads were not split as expected"
        value = node.inputs[0]
    return value
