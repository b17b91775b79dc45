"""Weights laid out at export: what each initializer's name says it is made of is what it holds."""

from __future__ import annotations

import onnx
import pytest
import torch
from onnx import numpy_helper

from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.blocks import FeedForward
from export.graphs.trace import export_onnx
from export.hunyuanportrait.networks.blocks import TemporalConv
from export.weights.random import load_random


class Mixed(torch.nn.Module):
    """A GEGLU's halves, a linear, and a convolution along time with a dimension too many."""

    def __init__(self) -> None:
        super().__init__()
        self.ff, self.along = FeedForward(4), TemporalConv(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.along(self.ff(x).transpose(1, 2)[..., None])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path, module = tmp_path_factory.mktemp("laid") / "mixed.onnx", load_random(Mixed())
    spec = NetworkSpec(
        name="mixed",
        inputs=(TensorSpec(name="x", dims=("rows", 6, 4), dtype="float32"),),
        outputs=(TensorSpec(name="y", dims=("rows", 4, 6, 1), dtype="float32"),),
        ranges={"rows": DimRange(min=1, opt=2, max=3)},
    )
    export_onnx(module, spec, {"x": torch.zeros(2, 6, 4)}, path)
    return module, onnx.load(path)


def as_named(name: str, parameters) -> torch.Tensor:
    """What the steps of a name make of its parameter."""
    parameter, *steps = name.split("/")
    value = parameters[parameter]
    for step in steps:
        if step == "transposed":
            value = value.T
        elif ":" in step:
            start, stop = map(int, step.split(":"))
            value = value[start:stop]
        else:
            value = value.reshape([int(size) for size in step.split("x")])
    return value


def test_every_weight_is_what_its_name_says(made):
    module, model = made
    weights = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    parameters = module.state_dict()
    for tensor in weights:
        expected = as_named(tensor.name, parameters)
        assert torch.equal(torch.from_numpy(numpy_helper.to_array(tensor).copy()), expected), tensor.name
    assert {t.name for t in weights} == {
        "ff.net.0.proj.weight/0:16/transposed",
        "ff.net.0.proj.weight/16:32/transposed",
        "ff.net.0.proj.bias/0:16",
        "ff.net.0.proj.bias/16:32",
        "ff.net.2.weight/transposed",
        "ff.net.2.bias",
        "along.weight/4x4x3x1",
        "along.bias",
    }


def test_no_node_works_on_a_weight_before_its_product(made):
    _, model = made
    weights = {t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    users = {node.op_type for node in model.graph.node if weights & set(node.input)}
    assert users <= {"MatMul", "Gemm", "Add", "Conv"}
