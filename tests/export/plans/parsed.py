"""A graph as TensorRT reads it, and as its spec promises it: name -> (shape, dtype), a free size being -1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from engines.spec import TensorSpec

Tensors = dict[str, tuple[tuple[int, ...], str]]


def parsed(trt: ModuleType, path: Path) -> tuple[Tensors, Tensors]:
    """Inputs and outputs."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network: Any = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(path))
    sides = (
        [network.get_input(i) for i in range(network.num_inputs)],
        [network.get_output(i) for i in range(network.num_outputs)],
    )
    inputs, outputs = ({t.name: (tuple(t.shape), trt.nptype(t.dtype).__name__) for t in side} for side in sides)
    return inputs, outputs


def promised(tensors: Sequence[TensorSpec]) -> Tensors:
    return {t.name: (tuple(-1 if isinstance(d, str) else d for d in t.dims), t.dtype) for t in tensors}
