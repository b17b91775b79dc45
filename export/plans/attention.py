"""Which attention of a graph runs as one fused kernel, and which writes its scores to memory.

A fused kernel never stores the map of queries x keys. TensorRT has such kernels for the dtypes and head widths below;
any other attention has to be marked decomposable, and is then two products with a softmax between them, whose map can
be larger than everything else the graph needs. An attention that is not marked is fused, or its build fails: a plan
that was built proves the rest. Marking forbids nothing: a kernel is taken where there is one. So small attentions are
marked as well, whose maps are no matter, and one unusual shape among them does not cost a build of minutes.

Source: both families' documentation of multi-head attention fusion; tried with TensorRT for RTX 1.7, at each of its
capabilities. It fuses every width tried from 16 to 256, so heads 32 wide, pocket's, stand in the list too; TensorRT
itself, which needs a GPU to build, was not tried with them. Heads 160 wide, of the published UNets' two coarsest
levels, stand in the list of TensorRT for RTX alone: TensorRT may take them apart, and builds once.
"""

from __future__ import annotations

import ast
import json
import math
import operator
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.spec import NetworkSpec

FUSED_DTYPES = ("float16", "bfloat16")
FUSED_HEAD_WIDTHS = (32, 40, 64, 80, 128)
RTX_HEAD_WIDTHS = (*FUSED_HEAD_WIDTHS, 160)
SMALL = 32  # queries, and keys: a window's frames among themselves are 25 at most
# What may stand between a softmax and its products: nothing that moves elements.
_BETWEEN = frozenset({"Add", "Cast", "Div", "Dropout", "Identity", "Mul", "Sub", "Where"})
_ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}


def is_fused(dtype: str, query: Sequence[int], *, rtx: bool = False) -> bool:
    """Whether both families have a fused kernel for it, or, asked for that, TensorRT for RTX. `dtype`: numpy's name;
    `query`: the shape of the queries (batch, heads, queries, head width), a size that is not fixed being negative.

    Tried with TensorRT for RTX 1.7: a single query has none (a level of one cell, at 64 pixels), its scores being a
    row; nor has a single head of a batch of one (pocket's appearance network), its scores being one map.
    """
    batch, heads, queries, head_width = query
    widths = RTX_HEAD_WIDTHS if rtx else FUSED_HEAD_WIDTHS
    return dtype in FUSED_DTYPES and head_width in widths and queries != 1 and not (batch == 1 and heads == 1)


def is_small(queries: int, keys: int) -> bool:
    """Whether its map is no matter. Where neither size is fixed, negative, it is of a window's frames in live mode."""
    return (queries < 0 and keys < 0) or (0 < queries <= SMALL and 0 < keys <= SMALL)


def no_kernel(errors: Sequence[str]) -> bool:
    """Whether a builder gave up for want of a fused kernel. Both families' compiler, Myelin, says: "Attention operation
    was not supported by a dedicated kernel" (TensorRT for RTX 1.7)."""
    return any(re.search(r"attention|is_decomposable", error, re.IGNORECASE) for error in errors)


@dataclass(frozen=True, kw_only=True)
class Attention:
    """One attention of a graph. `scores` is (batch, heads, queries, keys), at each profile."""

    name: str
    kind: str  # "fused", "decomposable", or "spelled out": products and a softmax that no operator holds together
    dtype: str  # of the scores as well
    head_width: int  # 0 where products are spelled out
    opt: tuple[int, ...]
    max: tuple[int, ...]
    loose: bool = False  # a fused one that may be taken apart all the same

    def bytes_at(self, scores: Sequence[int]) -> int:
        return math.prod(scores) * (2 if self.dtype in FUSED_DTYPES else 4)


def find_attention(onnx_path: Path, spec: NetworkSpec, *, rtx: bool = False) -> list[Attention]:
    """Every attention of the graph, in its order. The weights are not read. `rtx`: as for `is_fused`."""
    import onnx

    graph = onnx.load(onnx_path, load_external_data=False).graph
    values = {v.name: v.type.tensor_type for v in (*graph.input, *graph.value_info, *graph.output)}
    sizes = {at: {n: getattr(r, at) for n, r in spec.ranges.items()} for at in ("opt", "max")}

    def shape(name: str, at: str) -> tuple[int, ...]:
        dims = values[name].shape.dim
        return tuple(size_of(d.dim_param, sizes[at]) if d.dim_param else d.dim_value for d in dims)

    def fixed(name: str) -> tuple[int, ...]:
        return tuple(-1 if d.dim_param else d.dim_value for d in values[name].shape.dim)

    def apart(node: Any, name: str, found: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of queries or keys with the heads apart, (batch, heads, tokens, width), however the node has it."""
        if len(found) == 4:
            return found
        heads = next(
            a.i for a in node.attribute if a.name == ("q_num_heads" if name == node.input[0] else "kv_num_heads")
        )
        return found[0], heads, found[1], found[2] // heads

    def dtype(name: str) -> str:
        return str(onnx.helper.tensor_dtype_to_np_dtype(values[name].elem_type))

    found = []
    for node in graph.node:
        if node.op_type == "Attention":
            q, k = node.input[0], node.input[1]
            asked = {at: apart(node, q, shape(q, at)) for at in ("opt", "max")}
            width = asked["opt"][-1]
            opt, most = ((*asked[at][:-1], apart(node, k, shape(k, at))[-2]) for at in ("opt", "max"))
            queries, keys = (apart(node, name, fixed(name)) for name in (q, k))
            kind = "fused" if is_fused(dtype(q), queries, rtx=rtx) else "decomposable"
            loose = kind == "fused" and is_small(queries[-2], keys[-2])
            found.append(
                Attention(name=node.name, kind=kind, dtype=dtype(q), head_width=width, opt=opt, max=most, loose=loose)
            )
    for name, scores in _spelled_out(graph):
        opt, most = shape(scores, "opt"), shape(scores, "max")
        found.append(Attention(name=name, kind="spelled out", dtype=dtype(scores), head_width=0, opt=opt, max=most))
    return found


def summary(found: Sequence[Attention]) -> dict[str, Any]:
    """What a manifest says about it, as the network promises it. `read_engine` adds what the engine shows."""
    kinds = Counter((a.kind, a.dtype, a.head_width) for a in found)
    return {
        "count": len(found),
        "fused": sum(a.kind == "fused" for a in found),
        "loose": sum(a.loose for a in found),
        "from": "network",
        "kinds": [{"kind": k, "dtype": d, "head_width": w, "count": n} for (k, d, w), n in kinds.items()],
        "score_maps": [
            {
                "name": a.name,
                "opt": list(a.opt),
                "max": list(a.max),
                "opt_bytes": a.bytes_at(a.opt),
                "max_bytes": a.bytes_at(a.max),
            }
            for a in found
            if a.kind != "fused"
        ],
    }


def read_engine(information: str, found: Sequence[Attention]) -> dict[str, Any]:
    """`summary`, and the score maps that the engine's layers really write.

    `information`: the inspector's JSON of a whole engine. A map is told by its last two sizes, queries and keys, among
    the outputs of layers; where there are as many keys as a head is wide it looks like the result, and is left out.
    """
    pairs = {scores[-2:] for a in found for scores in (a.opt, a.max) if scores[-1] != a.head_width}
    written = []
    for layer in engine_layers(information):
        for output in layer["outputs"]:
            if tuple(output["shape"][-2:]) in pairs and len(output["shape"]) > 2:
                written.append({"layer": layer["name"], "shape": output["shape"]})
    return {**summary(found), "from": "engine", "written": written}


def engine_layers(information: str) -> list[dict[str, Any]]:
    """The inspector's JSON as small dicts: name, type, outputs (each shape and dtype)."""
    layers: list[dict[str, Any]] = []
    for layer in json.loads(information).get("Layers", ()):
        if isinstance(layer, str):  # an engine that was built without details has names alone
            layers.append({"name": layer, "type": "", "outputs": []})
            continue
        outputs = [
            {"shape": list(o.get("Dimensions", ())), "dtype": o.get("Datatype") or o.get("Format/Datatype", "")}
            for o in layer.get("Outputs", ())
        ]
        layers.append({"name": layer.get("Name", ""), "type": layer.get("LayerType", ""), "outputs": outputs})
    return layers


def attention_line(facts: Mapping[str, Any]) -> str:
    """A summary in one line, for people."""
    if not facts["count"]:
        return "no attention"
    plural = "" if facts["count"] == 1 else "s"
    if facts["fused"] == facts["count"]:
        start = f"{facts['count']} attention{plural}, fused"
    else:
        start = f"{facts['fused']} of {facts['count']} attention{plural} fused"
    if loose := facts.get("loose"):  # records of earlier builds have none
        start += f", {loose} of them only where there is a kernel"
    if facts["score_maps"]:
        largest = max(facts["score_maps"], key=lambda m: m["max_bytes"])
        start += (
            f"; without a fused kernel {largest['name']} may write scores of {' x '.join(map(str, largest['opt']))}, "
            f"{_size(largest['opt_bytes'])} (at most {_size(largest['max_bytes'])})"
        )
    if "written" in facts:
        start += f"; score maps that the engine writes: {len(facts['written'])}"
    return start


def size_of(expression: str, sizes: Mapping[str, int]) -> int:
    """The value of a dimension as the exporter writes it, such as "25*rows"."""

    def value(node: ast.expr) -> int:
        match node:
            case ast.Constant(value=int(number)):
                return number
            case ast.Name(id=name):
                return sizes[name]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return _ARITHMETIC[type(op)](value(left), value(right))
        raise ValueError(f"cannot read the dimension {expression!r}")

    return value(ast.parse(expression, mode="eval").body)


def _spelled_out(graph) -> Iterator[tuple[str, str]]:
    """(softmax's name, its scores) of every MatMul, Softmax, MatMul in a row."""
    producers = {output: node for node in graph.node for output in node.output}
    consumers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)

    def product_before(name: str) -> bool:
        node = producers.get(name)
        if node is None or node.op_type not in _BETWEEN:
            return node is not None and node.op_type in ("MatMul", "Gemm")
        return any(product_before(n) for n in node.input)

    def product_after(name: str) -> bool:
        for node in consumers.get(name, ()):
            if node.op_type == "MatMul" or (node.op_type in _BETWEEN and product_after(node.output[0])):
                return True
        return False

    for node in graph.node:
        if node.op_type == "Softmax" and product_before(node.input[0]) and product_after(node.output[0]):
            yield node.name, node.input[0]


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
