"""A judge's network as one small file: norms folded into their convolutions, weights in half precision.

It computes in single precision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from engines.spec import NetworkSpec
from engines.temporary import temporary_folder
from export.graphs.trace import export_onnx


def write_small_onnx(
    network: nn.Module, spec: NetworkSpec, feeds: Mapping[str, torch.Tensor], path: Path, **facts: Any
) -> None:
    """Write `network`, which is changed by it, as `spec` promises; `facts` go into the file as JSON, by name."""
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential) and len(module) > 1:
            conv, norm = module[0], module[1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[0], module[1] = nn.utils.fusion.fuse_conv_bn_eval(conv, norm), nn.Identity()
    with temporary_folder("judge") as folder:
        traced = folder / "judge.onnx"
        export_onnx(network, spec, feeds, traced)
        model = onnx.load(traced)
    _halve(model)
    for name, fact in facts.items():
        model.metadata_props.add(key=name, value=json.dumps(fact))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def weight_count(path: Path) -> int:
    """Of a file's numbers."""
    return sum(numpy_helper.to_array(tensor).size for tensor in onnx.load(path).graph.initializer)


def _halve(model: onnx.ModelProto) -> None:
    """Store large tensors as float16 and turn them back when the file is opened."""
    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= 64:
            half = numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.half")
            casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
            graph.initializer.remove(tensor)
            graph.initializer.append(half)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
