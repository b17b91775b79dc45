"""Programs that the exporter need not trace again: the same numbers, and whatever is not known is left to it."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from engines.errors import InternalError
from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.graphs.lowered import lowered
from export.graphs.trace import export_onnx


class EveryRewrite(nn.Module):
    """All that is rewritten, on rows of (6, 4); the last output is the first once more."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        scale = torch.tensor(3.0)
        first, second, rest = x.chunk(3, dim=1)
        made = (1 - first).square() * scale + second.to(torch.float16).to(torch.float32)
        whole = torch.cat([made, second, rest], dim=1).flatten(1).unflatten(1, (4, 6)).transpose(1, 2)
        result = whole.reshape(-1, 24) + x.flatten(0, 1).reshape(-1, 24)
        return result, (result + 1).to(torch.float32)


class Unknown(nn.Module):
    """As well as what is rewritten: an operation that nobody has looked at."""

    def forward(self, x: Tensor) -> Tensor:
        return (1 - x.flip(1)).square().flatten(1)


class OfTwoDtypes(nn.Module):
    """ONNX has no product of whole numbers and others: they are cast to one dtype, as PyTorch does it."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) * torch.arange(24) + 1


class Fixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(2, 24)


def spec_of(outputs: int) -> NetworkSpec:
    return NetworkSpec(
        name="made",
        inputs=(TensorSpec(name="x", dims=("rows", 6, 4), dtype="float32"),),
        outputs=tuple(TensorSpec(name=f"y{i}", dims=("rows", 24), dtype="float32") for i in range(outputs)),
        ranges={"rows": DimRange(min=1, opt=2, max=9)},
    )


@pytest.fixture
def traced_again(monkeypatch) -> list[ExportedProgram]:
    """The programs that the exporter traced a second time."""
    seen, real = [], ExportedProgram.run_decompositions

    def noted(program, *args, **options):
        seen.append(program)
        return real(program, *args, **options)

    monkeypatch.setattr(ExportedProgram, "run_decompositions", noted)
    return seen


@pytest.mark.parametrize(
    ("module", "again"), [(EveryRewrite(), 0), (OfTwoDtypes(), 0), (Unknown(), 1)], ids=["known", "cast", "unknown"]
)
def test_a_graph_computes_what_its_module_does_and_only_what_is_not_known_is_traced_again(
    tmp_path, traced_again, module, again
):
    outputs = module(torch.zeros(2, 6, 4))
    spec = spec_of(len(outputs) if isinstance(outputs, tuple) else 1)
    export_onnx(module.eval(), spec, {"x": torch.zeros(2, 6, 4)}, tmp_path / "made.onnx")
    assert len(traced_again) == again
    session = onnxruntime.InferenceSession(str(tmp_path / "made.onnx"), providers=["CPUExecutionProvider"])
    for rows in (1, 2, 7):
        x = torch.randn(rows, 6, 4)
        wanted = module(x) if isinstance(outputs, tuple) else (module(x),)
        for found, expected in zip(session.run(None, {"x": x.numpy()}), wanted, strict=True):
            # The same operations in float32; one rounding of difference is the kernels' own.
            np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6, atol=1e-6)


def test_sizes_that_are_always_the_same_are_said(tmp_path):
    """TensorRT refuses an attention whose heads' width it would have to find."""
    program = lowered(EveryRewrite().eval(), [torch.zeros(2, 6, 4)], [{0: torch.export.Dim("rows", min=2, max=9)}])
    shaped = [node for node in program.graph.nodes if node.target is torch.ops.aten.reshape.default]
    assert len(shaped) == 5
    for node in shaped:
        sizes = zip(node.args[1], node.meta["val"].shape, strict=True)
        assert all(said == size for said, size in sizes if isinstance(size, int))


def test_a_size_that_tracing_fixes_is_our_own_mistake(tmp_path):
    with pytest.raises(InternalError, match="made: tracing fixed a size that its spec leaves free"):
        export_onnx(Fixed(), spec_of(1), {"x": torch.zeros(2, 6, 4)}, tmp_path / "made.onnx")
    assert not list(tmp_path.iterdir())
