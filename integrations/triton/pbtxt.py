"""`config.pbtxt`: what Triton is told of a model, from what its graph promises.

There is no batching dimension: what a graph calls frames, rows or chunk is its own affair, so `max_batch_size` is 0 and
every dimension stands in `dims`, those of run time as -1. How far these may go stands in comments.

Source: the server's user guide, "Model Configuration" and "Model Repository", of 2.73.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from engines.spec import NetworkSpec, TensorSpec

Backend = Literal["onnxruntime", "tensorrt"]
PLATFORMS: Mapping[Backend, str] = {"onnxruntime": "onnxruntime_onnx", "tensorrt": "tensorrt_plan"}
TYPES = {
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
    "int64": "TYPE_INT64",
    "int32": "TYPE_INT32",
    "int8": "TYPE_INT8",
    "uint8": "TYPE_UINT8",
    "bool": "TYPE_BOOL",
}
# Of the model that runs a Runtime: name, type, dims.
INPUTS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("portrait", "TYPE_UINT8", (-1,)),
    ("driving", "TYPE_UINT8", (-1,)),
    ("audio", "TYPE_UINT8", (-1,)),
    ("options", "TYPE_STRING", (1,)),
)
NEEDED = ("portrait",)  # of these; the others may be left out
OUTPUTS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("frame", "TYPE_UINT8", (-1, -1, 3)),
    ("index", "TYPE_INT64", (1,)),
    ("time_s", "TYPE_FP64", (1,)),
    ("mark_id", "TYPE_INT64", (1,)),
)


def graph_config(spec: NetworkSpec, backend: Backend) -> str:
    """The text for a graph."""
    lines = [f"# {name}: {sizes.min} to {sizes.max}, often {sizes.opt}" for name, sizes in spec.ranges.items()]
    lines += [
        f"name: {_quoted(spec.name)}",
        f"platform: {_quoted(PLATFORMS[backend])}",
        f"backend: {_quoted(backend)}",
        "max_batch_size: 0",
    ]
    for kind, tensors in (("input", spec.inputs), ("output", spec.outputs)):
        lines += [line for tensor in tensors for line in _of_spec(kind, tensor)]
    return "\n".join(lines) + "\n"


def runtime_config(name: str, parameters: Mapping[str, str], *, on_gpu: bool) -> str:
    """The text for the model that runs a Runtime. `parameters`: what it is told of it."""
    lines = [
        f"name: {_quoted(name)}",
        'backend: "python"',
        "max_batch_size: 0",
        "model_transaction_policy { decoupled: true }",
        # A process, with a Runtime: on a machine of several GPUs one each.
        f"instance_group [ {{ count: 1 kind: {'KIND_GPU' if on_gpu else 'KIND_CPU'} }} ]",
    ]
    for given, type_, dims in INPUTS:
        more = [] if given in NEEDED else ["optional: true"]
        lines += _tensor("input", given, type_, dims, more)
    for given, type_, dims in OUTPUTS:
        lines += _tensor("output", given, type_, dims, [])
    for key, value in parameters.items():
        lines.append(f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}")
    return "\n".join(lines) + "\n"


def _of_spec(kind: str, tensor: TensorSpec) -> Iterator[str]:
    dims = [-1 if isinstance(dim, str) else dim for dim in tensor.dims]
    # Triton knows no tensor without dimensions: it is told of one, and takes it away.
    more = [] if dims else ["reshape { shape: [ ] }"]
    yield from _tensor(kind, tensor.name, TYPES[tensor.dtype], dims or [1], more)


def _tensor(kind: str, name: str, type_: str, dims: Sequence[int], more: Sequence[str]) -> Iterator[str]:
    words = [f"name: {_quoted(name)}", f"data_type: {type_}", f"dims: [ {', '.join(map(str, dims))} ]", *more]
    yield f"{kind} {{ {' '.join(words)} }}"


def _quoted(text: str) -> str:
    """A string of protobuf's text format."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\{ord(letter):03o}" if ord(letter) < 32 else letter for letter in plain) + '"'
