"""A module as PyTorch's own graph, in operations that the ONNX exporter has nodes for.

The exporter traces a module, and then traces the result once more to take apart what ONNX has no word for. That second
trace is the longer one, and of all that our networks do it changes the few operations that are rewritten here, each in
its place. A program with any other operation is left to the exporter, which traces it again.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence, Set
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

aten = torch.ops.aten

# What the second trace leaves as it is.
KEPT = {
    operator.getitem,
    operator.mul,  # of sizes
    aten._assert_tensor_metadata.default,  # the exporter drops it
    aten._to_copy.default,
    aten.abs.default,
    aten.add.Tensor,
    aten.arange.default,
    aten.cat.default,
    aten.conv2d.default,
    aten.cos.default,
    aten.div.Tensor,
    aten.embedding.default,
    aten.exp.default,
    aten.expand.default,
    aten.gelu.default,
    aten.group_norm.default,
    aten.hardtanh.default,
    aten.index_select.default,
    aten.layer_norm.default,
    aten.linear.default,
    aten.log.default,
    aten.matmul.default,
    aten.max_pool2d.default,
    aten.mean.dim,
    aten.mul.Tensor,
    aten.neg.default,
    aten.permute.default,
    aten.pow.Tensor_Scalar,
    aten.relu.default,
    aten.reshape.default,
    aten.scaled_dot_product_attention.default,
    aten.select.int,
    aten.sigmoid.default,
    aten.silu.default,
    aten.sin.default,
    aten.slice.Tensor,
    aten.split.Tensor,
    aten.squeeze.dim,
    aten.sub.Tensor,
    aten.sum.dim_IntList,
    aten.sym_size.int,
    aten.transpose.int,
    aten.unbind.int,
    aten.unsqueeze.default,
    aten.upsample_nearest2d.vec,
    aten.zeros_like.default,
}


def lowered(module: nn.Module, example: Sequence[Tensor], dynamic_shapes: Sequence[dict[int, Any]]) -> ExportedProgram:
    """Trace `module` on `example`; `dynamic_shapes` has, for each input, the dimensions that are free.

    Raises torch._dynamo.exc.UserError where tracing fixes one of these.
    """
    free = tuple(dynamic_shapes) if any(dynamic_shapes) else None  # told of a `*rest` PyTorch wants it nested
    program = torch.export.export(module, tuple(example), dynamic_shapes=free, strict=False)
    if not _has_only(program, KEPT | REWRITTEN.keys()):
        return program
    for node in list(program.graph.nodes):
        if node.target in REWRITTEN:
            REWRITTEN[node.target](program, node)
    if _has_only(program, KEPT):
        program.run_decompositions = lambda decomp_table=None, **options: program  # nothing is left to do
    return program


def _has_only(program: ExportedProgram, targets: Set[Any]) -> bool:
    nodes = [node for node in program.graph.nodes if node.op not in ("placeholder", "output")]
    return all(node.op == "call_function" and node.target in targets for node in nodes)


def _left_out(program: ExportedProgram, node: Node) -> None:
    """A node whose output is its input."""
    (given,) = node.all_input_nodes
    node.replace_all_uses_with(given)
    program.graph_signature.replace_all_uses(node.name, given.name)
    program.graph.erase_node(node)


def _of_another_dtype(program: ExportedProgram, node: Node) -> None:
    (given,), dtype = node.all_input_nodes, node.meta["val"].dtype
    if given.meta["val"].dtype == dtype:
        _left_out(program, node)
    else:
        node.target, node.args, node.kwargs = aten._to_copy.default, (given,), {"dtype": dtype}


def _reshaped(program: ExportedProgram, node: Node) -> None:
    """A size that was left to be found is said where it is the same always, such as a head's width: TensorRT asks."""
    arguments: Any = node.args
    given, told = arguments
    sizes = zip(told, node.meta["val"].shape, strict=True)
    node.args = given, [size if isinstance(size, int) else said for said, size in sizes]


def _flattened(program: ExportedProgram, node: Node) -> None:
    arguments: Any = node.args
    given, *places = arguments
    sizes = _sizes(program, node)
    first, last = (place % len(sizes) for place in (*places, *(0, -1)[len(places) :]))
    with program.graph.inserting_before(node):
        merged = reduce(partial(_product, program), sizes[first : last + 1])
    node.target, node.kwargs = aten.reshape.default, {}
    node.args = given, [*sizes[:first], merged, *sizes[last + 1 :]]


def _unflattened(program: ExportedProgram, node: Node) -> None:
    arguments: Any = node.args
    given, place, parts = arguments
    sizes = _sizes(program, node)
    place %= len(sizes)
    node.target, node.args = aten.reshape.default, (given, [*sizes[:place], *parts, *sizes[place + 1 :]])
    _reshaped(program, node)


def _sizes(program: ExportedProgram, node: Node) -> list[Node | int]:
    """Of the node's input: numbers, and for those that are free a node that asks for it."""
    given, asked = node.all_input_nodes[0], []
    with program.graph.inserting_before(node):
        for place, size in enumerate(given.meta["val"].shape):
            if not isinstance(size, int):
                made = program.graph.call_function(aten.sym_size.int, (given, place))
                made.meta["val"] = size
            asked.append(size if isinstance(size, int) else made)
    return asked


def _product(program: ExportedProgram, one: Node | int, other: Node | int) -> Node | int:
    first, second = (size.meta["val"] if isinstance(size, Node) else size for size in (one, other))
    if isinstance(first * second, int):
        return first * second
    made = program.graph.call_function(operator.mul, (one, other))
    made.meta["val"] = first * second
    return made


def _split(program: ExportedProgram, node: Node) -> None:
    given, _, dim = (*node.args, 0)[:3]
    size = node.meta["val"][0].shape[dim]
    if isinstance(size, int):
        node.target, node.args = aten.split.Tensor, (given, size, dim)


def _turned_round(program: ExportedProgram, node: Node) -> None:
    if len(node.args) == 2 and not node.kwargs:
        node.target, node.args = aten.sub.Tensor, node.args[::-1]


def _squared(program: ExportedProgram, node: Node) -> None:
    node.target, node.args = aten.pow.Tensor_Scalar, (node.args[0], 2)


REWRITTEN: dict[Any, Callable[[ExportedProgram, Node], None]] = {
    aten.reshape.default: _reshaped,
    aten.to.dtype: _of_another_dtype,
    aten.detach_.default: _left_out,
    aten.lift_fresh_copy.default: _left_out,
    aten.flatten.using_ints: _flattened,
    aten.unflatten.int: _unflattened,
    aten.chunk.default: _split,
    aten.rsub.Scalar: _turned_round,
    aten.square.default: _squared,
}
