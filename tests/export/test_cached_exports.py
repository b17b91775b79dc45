"""An export that is taken from the cache is the one that the exporter would make."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.graphs import trace
from tests.cache import Cache
from tests.export.cached_exports import cached_exports, fingerprint

SPEC = NetworkSpec(
    name="scale",
    inputs=(TensorSpec(name="x", dims=("many", 3), dtype="float32"),),
    outputs=(TensorSpec(name="y", dims=("many", 3), dtype="float32"),),
    ranges={"many": DimRange(min=1, opt=2, max=9)},
)


class Scale(nn.Module):
    def __init__(self, factor: float = 2.0, weight: float = 1.0) -> None:
        super().__init__()
        self.factor, self.inner = factor, nn.Linear(3, 3)
        nn.init.constant_(self.inner.weight, weight)
        nn.init.zeros_(self.inner.bias)
        self.register_buffer("offset", torch.zeros(3), persistent=False)

    def forward(self, x):
        return self.inner(x) * self.factor + self.offset


def test_modules_are_the_same_where_they_compute_the_same():
    assert fingerprint(Scale()) == fingerprint(Scale())
    moved = Scale()
    moved.offset = torch.ones(3)
    others = [Scale(), Scale(factor=3.0), Scale(weight=2.0), Scale().half(), moved, Scale().eval()]
    assert len({fingerprint(module) for module in others}) == len(others)


def test_an_attribute_that_cannot_be_described_is_told():
    module = Scale()
    module.factor = SimpleNamespace(value=object())
    with pytest.raises(TypeError, match="say how it is described"):
        fingerprint(module)


def test_the_exporter_is_asked_once_for_the_same_graph(tmp_path, monkeypatch):
    asked = []

    def real(module, spec, example, path):
        asked.append(module.factor)
        path.write_text(f"graph {module.factor}")
        path.with_name(path.name + ".data").write_text("weights")

    monkeypatch.setattr(trace, "export_onnx", real)
    with cached_exports(Cache(tmp_path / "cache")):
        for number, factor in enumerate((2.0, 2.0, 3.0)):
            (tmp_path / str(number)).mkdir()
            path = tmp_path / str(number) / "scale.onnx"
            trace.export_onnx(Scale(factor).eval(), SPEC, {"x": torch.zeros(2, 3)}, path)
            assert path.read_text() == f"graph {factor}" and path.with_name("scale.onnx.data").exists()
    assert asked == [2.0, 3.0]
    assert trace.export_onnx is real
