"""A torch module to an ONNX file that keeps the promise of its NetworkSpec.

The dynamo exporter writes one node an operation, `Attention` and `Gelu` among them. Its
general optimiser is left out: on a UNet it takes longer than the rest of the export, and what engines profit from
is done here by three passes: constants folded, unused nodes dropped, equal expressions shared.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from onnx.defs import OpSchema
from onnx_ir.schemas import OpSignature
from torch import Tensor, fx, nn
from torch.fx import config as fx_config
from torch.onnx._internal.exporter._registration import ONNXRegistry
from torch.onnx._internal.fx.passes.type_promotion import _TypePromotionInterpreter, get_type_promotion_rule

from engines.errors import InternalError
from engines.spec import NetworkSpec
from export.graphs.group_norm import rewrite_group_norms
from export.graphs.laid_out import lay_out_weights, left_for_layout
from export.graphs.lowered import lowered
from export.graphs.reshapes import simplify_reshapes
from export.graphs.shared_queries import separate_shared_queries
from export.graphs.token_attention import attend_to_tokens

OPSET = 23  # the first with Attention as one operator


def export_onnx(module: nn.Module, spec: NetworkSpec, example: Mapping[str, Tensor], path: Path) -> None:
    """Trace `module` on `example` and write `path`, its weights beside it as `path` + ".data".

    A module whose `norms_by_channel` is true gets that form of group norm (`export/graphs/group_norm.py`).

    `example` holds every input of `spec` by name, in an order of its own; named dimensions should be above 1, because
    the exporter takes a 1 for a constant. Raises InternalError when the graph is not what `spec` promises.
    """
    names = [t.name for t in spec.inputs]
    # Never at its least, where a size is 1, or one that follows from it: tracing takes a 1 for a size that spreads.
    # What it finds for two and more holds for one.
    dims = {n: torch.export.Dim(n, min=2 * r.min, max=max(r.max, 2 * r.min + 1)) for n, r in spec.ranges.items()}
    shapes = tuple({i: dims[d] for i, d in enumerate(t.dims) if isinstance(d, str)} for t in spec.inputs)
    with torch.no_grad(), _quiet(), _quick():
        try:
            traced = lowered(module, [example[n] for n in names], shapes)
        except torch._dynamo.exc.UserError as error:
            raise InternalError(f"{spec.name}: tracing fixed a size that its spec leaves free: {error}") from error
        program = torch.onnx.export(
            traced,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=shapes,
            input_names=names,
            output_names=[t.name for t in spec.outputs],
            optimize=False,
            verbose=False,
        )
        assert program is not None
        _simplify(program.model, norms_by_channel=getattr(module, "norms_by_channel", False))
    _check(program.model, spec)
    program.save(path, external_data=True)


@contextlib.contextmanager
def _quick() -> Iterator[None]:
    """Without five things that the exporter spends its time on and we have no use for; the file has the same bits.

    It makes millions of small objects that live until its end: looking for garbage among them again and again is a
    fifth of its time (tiny UNet: 19.4 s of a core instead of 23.6), and finds nothing worth having. It writes down at
    every node which source lines made it: another 11 % (tiny denoiser: 30.7 s instead of 34.4), and `_simplify` clears
    them away. Where it looks for operands of different dtypes it runs every operation once more, on shapes alone, to
    know what comes out, though its trace has noted that: 21 % (tiny denoiser: 3.6 s instead of 4.6). For every graph it
    gathers its table of operators anew, out of the sources of 500 functions, and at every node it reads once more
    what ONNX says of its operator: both are the same every time, and kept.
    """
    collects = gc.isenabled()
    untraced = getattr(fx_config, "do_not_emit_stack_traces", False)  # a torch that is older reads no such flag
    runs = _TypePromotionInterpreter.run_node
    table, signature = vars(ONNXRegistry)["from_torchlib"], vars(OpSignature)["from_op_schema"]
    gc.disable()
    fx_config.do_not_emit_stack_traces = True
    _TypePromotionInterpreter.run_node = _promoted  # type: ignore[method-assign, assignment]  # until the end
    ONNXRegistry.from_torchlib = staticmethod(_operators)  # type: ignore[method-assign]
    OpSignature.from_op_schema = staticmethod(_signature)  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        ONNXRegistry.from_torchlib = table  # type: ignore[method-assign]
        OpSignature.from_op_schema = signature  # type: ignore[method-assign]
        _TypePromotionInterpreter.run_node = runs  # type: ignore[method-assign]  # its own again
        fx_config.do_not_emit_stack_traces = untraced
        if collects:
            gc.enable()


_gather, _read = ONNXRegistry.from_torchlib, OpSignature.from_op_schema  # as they come


@functools.cache
def _operators(opset_version: int) -> ONNXRegistry:
    return _gather(opset_version=opset_version)


def _signature(schema: OpSchema) -> OpSignature:
    known = schema.domain, schema.name, schema.since_version
    if known not in _SIGNATURES:
        _SIGNATURES[known] = _read(schema)
    return _SIGNATURES[known]


_SIGNATURES: dict[tuple[str, str, int], OpSignature] = {}


def _promoted(interpreter: _TypePromotionInterpreter, node: fx.Node) -> Any:
    """A node is given operands of one dtype; what comes out of it, its trace has noted."""
    if rule := get_type_promotion_rule(node, interpreter.type_promotion_table):
        with interpreter._set_current_node(node):
            interpreter._maybe_promote_node(node, rule)
    if node.op == "call_function" and "val" in node.meta:
        return node.meta["val"]
    return fx.Interpreter.run_node(interpreter, node)


def _simplify(model: Any, *, norms_by_channel: bool) -> None:  # onnx_ir.Model
    import onnxscript.optimizer
    from onnx_ir.passes import common

    onnxscript.optimizer.fold_constants(model, should_fold=left_for_layout(model))
    common.RemoveUnusedNodesPass()(model)
    lay_out_weights(model)
    rewrite_group_norms(model, by_channel=norms_by_channel)
    separate_shared_queries(model)
    attend_to_tokens(model)
    simplify_reshapes(model)
    common.CommonSubexpressionEliminationPass()(model)
    common.DeduplicateInitializersPass()(model)
    common.RemoveUnusedNodesPass()(model)
    # Traces of the source lines: they name this machine's folders and would make equal graphs differ.
    common.ClearMetadataAndDocStringPass()(model)


def _check(model, spec: NetworkSpec) -> None:
    """Names, order, dtypes and static sizes of the graph's inputs and outputs against the promise."""
    for promised, made in ((spec.inputs, model.graph.inputs), (spec.outputs, model.graph.outputs)):
        found = [(v.name, str(v.dtype.numpy()), len(v.shape)) for v in made]
        needed = [(t.name, t.dtype, len(t.dims)) for t in promised]
        if found != needed:
            raise InternalError(f"{spec.name}: the exported graph has {found}, its spec promises {needed}")
        for value, tensor in zip(made, promised, strict=True):
            for size, dim in zip(value.shape, tensor.dims, strict=True):
                if isinstance(dim, int) and isinstance(size, int) and size != dim:
                    raise InternalError(f"{spec.name}: {tensor.name} came out as {value.shape}, promised {tensor.dims}")
                if isinstance(dim, str) and isinstance(size, int):
                    raise InternalError(f"{spec.name}: {tensor.name}: tracing fixed {dim!r} at {size}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress marks, its torchvision remarks and warnings off our user's screen."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stderr(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
