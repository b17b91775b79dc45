"""Post-training quantisation of an exported UNet: the same graph with explicit QuantizeLinear and DequantizeLinear.

What is quantised: linears of constant weights, and (int8 alone) the 3x3 convolutions in space. Both factors of the
product are rounded: weights symmetrically by output channel, activations symmetrically by tensor, as TensorRT wants
them. What comes out of it stays in floats. Left alone, and counted by reason in the report:

- the first and the last convolution: they see and make the latents themselves;
- 1x1 convolutions: shortcuts of the residual stream, whose outliers cost as much error as all 3x3 together (pocket
  denoiser: 1.6 % of the velocity's rms each) for a ninth of their work;
- convolutions along time (a kernel of (3, 1)) and 3-D ones;
- linears with a row a frame or a step: embeddings and positions, next to no work;
- attention, norms, and whatever has weights only known at run time.

Every quantised product has a QuantizeLinear and a DequantizeLinear of its own. ONNX Runtime on x86 has fast kernels for
unsigned activations alone; it rewrites signed ones, but only where no other node reads the pair.

Not onnxruntime.quantization: its fp8 scales come from standard deviations and left the pocket denoiser 0.16 of the
velocity's rms off, those of the largest magnitude 0.016; it does not see through the halves of a GEGLU's weights, and
does not say why a node was left. Where pairs belong: "Explicit Quantization" in TensorRT's documentation.

ONNX Runtime needs a session option for either kind: `engines.onnx_backend.OPTIONS_OF_KIND`.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import InputError
from engines.spec import Quantization
from export.graphs.calibration import Sample, largest_magnitudes

# The largest number of each kind. int8 could say -128 too; then both signs would not reach as far. fp8 is e4m3fn.
LARGEST = {"int8": 127.0, "fp8": 448.0}

_FOLDED = frozenset({"Split", "Transpose", "Squeeze", "Reshape"})  # between a stored weight and its product
_PRODUCTS = frozenset({"Conv", "MatMul", "Gemm"})


@dataclass(frozen=True, kw_only=True)
class QuantizeReport:
    """What became of every product of a graph."""

    kind: Quantization
    quantized: Mapping[str, int]  # operator -> how many
    left: Mapping[str, int]  # reason -> how many
    samples: int


def quantize(
    source: Path,
    target: Path,
    *,
    kind: Quantization,
    samples: Iterable[Sample],
    convolutions: bool = True,
) -> QuantizeReport:
    """Write the graph at `source`, quantised for what `samples` showed, to `target` and `target` + ".data".

    Inputs and outputs stay as they are. `samples`: inputs of the graph by name, taken from real clips; ranges follow
    them. `convolutions`: False leaves all of these, which ONNX Runtime's CPU kernels multiply in floats all the same.
    `target` appears when both files are whole. Raises InputError for an unknown kind and for unusable samples,
    NonFiniteError when the graph gives no numbers for them.
    """
    import onnx_ir as ir
    from onnx_ir.passes import common

    if kind not in LARGEST:
        raise InputError(f"there is no quantisation {kind!r}; choose one of {', '.join(LARGEST)}")
    model = ir.load(source)
    chosen, left = _choose(model.graph, kind, convolutions)
    seen = _Counted(samples)
    ranges = largest_magnitudes(source, sorted({node.inputs[0].name for node, _ in chosen}), seen)
    for node, weight in chosen:
        _quantize_node(model.graph, node, weight, ranges[node.inputs[0].name], kind)
    common.RemoveUnusedNodesPass()(model)
    _save(model, target)
    return QuantizeReport(
        kind=kind,
        quantized=dict(Counter(node.op_type for node, _ in chosen)),
        left=dict(left),
        samples=seen.count,
    )


class _Counted:
    """Samples, and how many there were."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.samples, self.count = samples, 0

    def __iter__(self) -> Iterator[Sample]:
        for sample in self.samples:
            self.count += 1
            yield sample


def _choose(graph, kind: Quantization, convolutions: bool):
    """[(product to quantise, its weight)], and a count of the others by reason."""
    ends = [node for node in graph if node.op_type == "Conv"]
    chosen, left = [], Counter[str]()
    for node in graph:
        if node.op_type not in _PRODUCTS:
            continue
        weight = constant(node.inputs[1])
        if weight is None:
            reason = "weights of the run"
        elif node.op_type == "Conv":
            outermost = node in (ends[0], ends[-1])
            reason = "first or last convolution" if outermost else _why_not_convolution(weight, kind, convolutions)
        else:
            few = node.inputs[0].shape is None or len(node.inputs[0].shape) < 3
            reason = "a row a frame or a step" if few else ""
        if reason:
            left[reason] += 1
        else:
            chosen.append((node, weight))
    return chosen, left


def _why_not_convolution(weight: np.ndarray, kind: Quantization, convolutions: bool) -> str:
    kernel = weight.shape[2:]
    if len(kernel) > 2 or kernel[-1] == 1 < kernel[0]:
        return "convolution along time"
    if max(kernel) == 1:
        return "shortcut"
    if kind == "fp8":
        return "convolution, no fp8 kernels"
    return "" if convolutions else "convolution, not asked for"


def constant(value) -> np.ndarray | None:
    """What an onnx_ir.Value always is; None where that depends on the inputs.

    Exported weights may pass through a Split, a Transpose or a Squeeze that was too large to be folded.
    """
    import onnx_ir as ir
    from onnx.reference import ReferenceEvaluator

    if value.const_value is not None:
        return value.const_value.numpy()
    node = value.producer()
    if node is None or (node.op_type != "Constant" and node.op_type not in _FOLDED):
        return None
    feeds = {given.name: constant(given) for given in node.inputs}
    if any(array is None for array in feeds.values()):
        return None
    return ReferenceEvaluator(ir.to_proto(node)).run(None, feeds)[value.index()]


def _quantize_node(graph, node, weight: np.ndarray, reach: float, kind: Quantization) -> None:
    """Round what goes into `node`: its activation, whose magnitudes go up to `reach`, and its weight."""
    import onnx_ir as ir

    number = {"int8": ir.DataType.INT8, "fp8": ir.DataType.FLOAT8E4M3FN}[kind]
    x, name = node.inputs[0], node.outputs[0].name
    real = x.dtype.numpy()

    def stored(suffix: str, array: np.ndarray) -> ir.Value:
        tensor = ir.tensor(array, name=f"{name}.{suffix}")
        shape, dtype = ir.Shape(array.shape), ir.TensorType(tensor.dtype)
        value = ir.Value(name=tensor.name, shape=shape, type=dtype, const_value=tensor)
        graph.register_initializer(value)
        return value

    def add(op: str, suffix: str, inputs, shape, dtype, **attributes) -> ir.Value:
        new = ir.node(op, inputs, attributes=attributes, name=f"{name}.{suffix}")
        out = new.outputs[0]
        out.name, out.shape, out.type = new.name, shape, ir.TensorType(dtype)
        graph.insert_before(node, [new])
        return out

    zero = stored("zero", np.zeros((), number.numpy()))  # TensorRT takes no other
    scale = stored("x_scale", scales(np.array(reach), real, kind))
    rounded = add("QuantizeLinear", "x_rounded", [x, scale, zero], x.shape, number)
    node.replace_input_with(0, add("DequantizeLinear", "x", [rounded, scale, zero], x.shape, x.dtype))

    axis = _output_axis(node)
    others = tuple(i for i in range(weight.ndim) if i != axis)
    by_channel = scales(np.abs(weight).max(axis=others), real, kind)
    small = encode(weight, np.expand_dims(by_channel, others), kind)
    held = [stored("weight_rounded", small), stored("weight_scale", by_channel)]
    whole = add("DequantizeLinear", "weight", held, ir.Shape(weight.shape), x.dtype, axis=axis)
    node.replace_input_with(1, whole)


def _output_axis(node) -> int:
    """Along which axis of its weight a product's output channels lie."""
    if node.op_type == "MatMul":
        return 1
    transposed = node.attributes.get("transB")
    return 1 if node.op_type == "Gemm" and not (transposed and transposed.value) else 0


def scales(reach: np.ndarray, dtype: np.dtype, kind: Quantization) -> np.ndarray:
    """The steps, of `dtype`, with which magnitudes up to `reach` are told apart: reach / the kind's largest number.

    At least the smallest normal number: kernels may take a subnormal scale for a zero.
    """
    return np.maximum(np.asarray(reach, np.float32) / LARGEST[kind], np.finfo(dtype).tiny).astype(dtype)


def encode(values: np.ndarray, steps: np.ndarray, kind: Quantization) -> np.ndarray:
    """`values` in whole `steps` (broadcast), as QuantizeLinear rounds them: to even, and saturated."""
    import ml_dtypes

    limit = LARGEST[kind]
    counts = np.clip(values.astype(np.float32) / steps.astype(np.float32), -limit, limit)
    return np.rint(counts).astype(np.int8) if kind == "int8" else counts.astype(ml_dtypes.float8_e4m3fn)


def _save(model, target: Path) -> None:
    """Both files under hidden names, then the weights, then the graph: where there is a graph, it is whole."""
    import onnx_ir as ir

    hidden = target.with_name(f".{target.name}.part")
    shutil.rmtree(hidden, ignore_errors=True)
    hidden.mkdir()
    data = f"{target.name}.data"
    try:
        ir.save(model, hidden / target.name, external_data=data)
        target.unlink(missing_ok=True)  # an older one would be found with new weights
        (hidden / data).replace(target.with_name(data))
        (hidden / target.name).replace(target)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
