"""Post-training quantisation of an exported UNet: the same graph with explicit QuantizeLinear and DequantizeLinear.

What is quantised: linears of constant weights, the 3x3 convolutions in space, and (fp8 alone) those along time, with a
kernel of (3, 1). Both factors of the product are rounded: weights symmetrically by output channel, activations
symmetrically by tensor, as TensorRT wants them. What comes out of it stays in floats. Left alone, and counted by reason
in the report:

- the first and the last convolution: they see and make the latents themselves;
- 1x1 convolutions: shortcuts of the residual stream, whose outliers cost as much error as all 3x3 together (pocket
  denoiser: 1.6 % of the velocity's rms each) for a ninth of their work;
- 3-D convolutions, and in int8 those along time;
- linears with a row a frame or a step: embeddings and positions, next to no work;
- attention, norms, and whatever has weights only known at run time.

For TensorRT there is one pair of QuantizeLinear and DequantizeLinear a tensor, whoever reads it: a tensor is rounded
once. For ONNX Runtime's int8 every product has a pair of its own: on x86 it has fast kernels for unsigned activations
alone, and rewrites signed ones, but only where no other node reads the pair.

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
from typing import Any

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
    for_tensorrt: bool = True,
) -> QuantizeReport:
    """Write the graph at `source`, quantised for what `samples` showed, to `target` and `target` + ".data".

    Inputs and outputs stay as they are. `samples`: inputs of the graph by name, taken from real clips; ranges follow
    them. `for_tensorrt`: False is for ONNX Runtime's CPU kernels: they multiply convolutions in floats all the same, so
    all of them are left, and every product has a pair of roundings of its own.
    `target` appears when both files are whole. Raises InputError for an unknown kind and for unusable samples,
    NonFiniteError when the graph gives no numbers for them.
    """
    import onnx_ir as ir
    from onnx_ir.passes import common

    if kind not in LARGEST:
        raise InputError(f"there is no quantisation {kind!r}; choose one of {', '.join(LARGEST)}")
    model = ir.load(source)
    chosen, left = _choose(model.graph, kind, for_tensorrt)
    seen = _Counted(samples)
    ranges = largest_magnitudes(source, sorted({node.inputs[0].name for node, _ in chosen}), seen)
    rounding = _Rounding(model.graph, kind)
    rounded: dict[str, Any] = {}  # by tensor, where these are shared
    for node, weight in chosen:
        x = node.inputs[0]
        if not for_tensorrt:
            rounded.clear()
        if x.name not in rounded:
            name = f"{x.name}.x" if for_tensorrt else f"{node.outputs[0].name}.x"
            rounded[x.name] = rounding.activation(x, ranges[x.name], name, before=node)
        node.replace_input_with(0, rounded[x.name])
        node.replace_input_with(1, rounding.weight(weight, before=node))
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


def _choose(graph, kind: Quantization, for_tensorrt: bool):
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
            reason = "first or last convolution" if outermost else _why_not_convolution(weight, kind, for_tensorrt)
        else:
            few = node.inputs[0].shape is None or len(node.inputs[0].shape) < 3
            reason = "a row a frame or a step" if few else ""
        if reason:
            left[reason] += 1
        else:
            chosen.append((node, weight))
    return chosen, left


def _why_not_convolution(weight: np.ndarray, kind: Quantization, for_tensorrt: bool) -> str:
    kernel = weight.shape[2:]
    along_time = kernel[-1] == 1 < kernel[0]
    if len(kernel) > 2 or (along_time and kind != "fp8"):
        return "convolution along time"
    if max(kernel) == 1:
        return "shortcut"
    return "" if for_tensorrt else "convolution, not asked for"


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


class _Rounding:
    """Writes the roundings of one kind into a graph."""

    def __init__(self, graph, kind: Quantization) -> None:
        self._graph, self._kind = graph, kind

    def activation(self, x, reach: float, name: str, *, before):
        """`x`, whose magnitudes go up to `reach`, rounded in front of the node `before`: its value of this name."""
        import onnx_ir as ir

        number = {"int8": ir.DataType.INT8, "fp8": ir.DataType.FLOAT8E4M3FN}[self._kind]
        zero = self._stored(f"{name}_zero", np.zeros((), number.numpy()))  # TensorRT takes no other
        scale = self._stored(f"{name}_scale", scales(np.array(reach), x.dtype.numpy(), self._kind))
        rounded = self._added("QuantizeLinear", f"{name}_rounded", [x, scale, zero], x.shape, number, before)
        return self._added("DequantizeLinear", name, [rounded, scale, zero], x.shape, x.dtype, before)

    def weight(self, weight: np.ndarray, *, before):
        """The weight of the product `before`, rounded by its output channels."""
        import onnx_ir as ir

        name, dtype = f"{before.outputs[0].name}.weight", before.inputs[0].dtype
        axis = _output_axis(before)
        others = tuple(i for i in range(weight.ndim) if i != axis)
        by_channel = scales(np.abs(weight).max(axis=others), dtype.numpy(), self._kind)
        small = encode(weight, np.expand_dims(by_channel, others), self._kind)
        held = [self._stored(f"{name}_rounded", small), self._stored(f"{name}_scale", by_channel)]
        if self._kind == "int8":  # as many as scales: ONNX Runtime moves them where a CPU needs unsigned weights
            held.append(self._stored(f"{name}_zero", np.zeros(by_channel.shape, np.int8)))
        return self._added("DequantizeLinear", name, held, ir.Shape(weight.shape), dtype, before, axis=axis)

    def _stored(self, name: str, array: np.ndarray):
        import onnx_ir as ir

        tensor = ir.tensor(array, name=name)
        shape, dtype = ir.Shape(array.shape), ir.TensorType(tensor.dtype)
        value = ir.Value(name=name, shape=shape, type=dtype, const_value=tensor)
        self._graph.register_initializer(value)
        return value

    def _added(self, op: str, name: str, inputs, shape, dtype, before, **attributes):
        import onnx_ir as ir

        new = ir.node(op, inputs, attributes=attributes, name=name)
        out = new.outputs[0]
        out.name, out.shape, out.type = name, shape, ir.TensorType(dtype)
        self._graph.insert_before(before, [new])
        return out


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
