"""Two attentions of one query, in a form that TensorRT for RTX can compile.

Its compiler (1.7.1, every capability) ends the process with a segmentation fault where two `Attention` operators take
the same query and one is not the other's input: it seems to merge them. Our temporal cross-attention does that: image
tokens and the window's mean motion are asked by all tokens of a row, (R, heads, F*S, width) each. Asked frame by frame,
(R*F, heads, S, width), with keys and values repeated, the second gives the same numbers and is another query. What
is repeated are 64 tokens after their projections: nothing beside the query.
"""

from __future__ import annotations

import numpy as np


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
    import onnx_ir as ir

    query, keys, values = node.inputs[:3]
    heads, width = int(query.shape[1]), int(query.shape[3])
    asked, cells = query.shape[2], int(source.shape[1])
    last = node.outputs[0]
    for kind in ("Transpose", "Reshape", "Reshape"):  # back to (R*F, S, C)
        (user,) = last.consumers()
        assert user.op_type == kind, f"{node.name}: {user.op_type} follows where {kind} should"
        last = user.outputs[0]
    new: list[ir.Node] = []

    def add(kind: str, *inputs: ir.Value, **attributes) -> ir.Value:
        name = f"{node.name}.by_frame.{len(new)}"
        new.append(ir.node(kind, list(inputs), attributes=attributes, name=name))
        value = new[-1].outputs[0]
        value.name, value.type = name, query.type
        return value

    def sizes(*numbers: int) -> ir.Value:
        name = f"{node.name}.by_frame.{len(new)}.{'x'.join(map(str, numbers))}"
        array = np.array(numbers)
        value = ir.Value(
            name=name,
            shape=ir.Shape(array.shape),
            type=ir.TensorType(ir.DataType.INT64),
            const_value=ir.tensor(array, name=name),
        )
        graph.register_initializer(value)
        return value

    def shaped(value: ir.Value, *dims) -> ir.Value:
        value.shape = ir.Shape(dims)
        return value

    def once_a_frame() -> ir.Value:
        if isinstance(asked, int):
            return sizes(1, asked // cells, 1, 1, 1)
        count = whole_numbers(add("Shape", query, start=2, end=3), 1)
        frames = whole_numbers(add("Div", count, sizes(cells)), 1)
        return whole_numbers(add("Concat", sizes(1), frames, sizes(1, 1, 1), axis=0), 5)

    def whole_numbers(value: ir.Value, count: int) -> ir.Value:
        value.type = ir.TensorType(ir.DataType.INT64)
        return shaped(value, count)

    def repeated(context: ir.Value) -> ir.Value:
        assert context.shape is not None, f"{node.name}: keys or values of unknown shape"
        tokens, context_width = context.shape[2], context.shape[3]
        assert isinstance(tokens, int) and isinstance(context_width, int), f"{node.name}: {context.shape} is not fixed"
        apart = add("Unsqueeze", context, sizes(1))
        each = add("Expand", apart, once_a_frame())
        flat = add("Reshape", each, sizes(-1, heads, tokens, context_width))
        return shaped(flat, batch, heads, tokens, context_width)

    batch = source.shape[0]
    split = shaped(add("Reshape", source, sizes(-1, cells, heads, width)), batch, cells, heads, width)
    by_frame = shaped(add("Transpose", split, perm=[0, 2, 1, 3]), batch, heads, cells, width)
    again = add("Attention", by_frame, repeated(keys), repeated(values), **node.attributes)
    shaped(again, batch, heads, cells, width)
    merged = add("Transpose", again, perm=[0, 2, 1, 3])
    whole = shaped(add("Reshape", merged, sizes(-1, cells, heads * width)), *last.shape)
    graph.insert_after(last.producer(), new)
    last.replace_all_uses_with(whole)
