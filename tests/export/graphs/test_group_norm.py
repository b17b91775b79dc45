"""Group normalisation as exported, against float64, where it is hard: groups that hardly vary round a large mean."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.graphs.trace import export_onnx
from export.weights.random import load_random


class TwoNorms(torch.nn.Module):
    """On (N, C, h, w), and on (N, C, f, S) with the chunk's length free, as the VAE's decoder has it."""

    def __init__(self, *, by_channel: bool = False) -> None:
        super().__init__()
        self.norms_by_channel = by_channel
        self.first, self.second = torch.nn.GroupNorm(4, 8, eps=1e-6), torch.nn.GroupNorm(8, 8, eps=1e-5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        along_time = self.first(x).flatten(2).transpose(0, 1)[None]
        return self.second(along_time)


def export(dtype: torch.dtype, path, *, by_channel: bool = False) -> tuple[torch.nn.Module, NetworkSpec]:
    name = str(dtype).removeprefix("torch.")
    spec = NetworkSpec(
        name="norms",
        inputs=(TensorSpec(name="x", dims=("frames", 8, 1, 2), dtype=name),),
        outputs=(TensorSpec(name="y", dims=(1, 8, "frames", 2), dtype=name),),
        ranges={"frames": DimRange(min=1, opt=4, max=8)},
    )
    module = load_random(TwoNorms(by_channel=by_channel))
    export_onnx(module.to(dtype), spec, {"x": torch.zeros(4, 8, 1, 2, dtype=dtype)}, path)
    return module, spec


@pytest.mark.parametrize("by_channel", [False, True])
@pytest.mark.parametrize("frames", [1, 4, 5])
def test_a_norm_of_few_and_close_values_keeps_its_digits(tmp_path, backend, frames, by_channel):
    module, spec = export(torch.float32, tmp_path / "norms.onnx", by_channel=by_channel)
    session = backend.load(spec, tmp_path / "norms.onnx")
    x = 3 + 0.01 * torch.randn(frames, 8, 1, 2, generator=torch.Generator().manual_seed(frames))
    with torch.no_grad():
        expected = module.double()(x.double())
    made = session.run({"x": backend.upload(x.numpy())})["y"]
    # The spread is 0.01 round 3, so float32 has 2e-5 of it; the other formula is 0.02 off.
    np.testing.assert_allclose(made, expected.numpy(), rtol=0, atol=2e-4)


def test_by_channel_nothing_is_laid_out_anew_for_a_norm(tmp_path):
    export(torch.float32, tmp_path / "norms.onnx", by_channel=True)
    kinds = [node.op_type for node in onnx.load(tmp_path / "norms.onnx").graph.node]
    assert kinds.count("Sqrt") == 2
    assert "InstanceNormalization" not in kinds
    assert kinds.count("Reshape") + kinds.count("Unsqueeze") <= 2  # the module's own


@pytest.mark.parametrize("by_channel", [False, True])
def test_half_precision_keeps_the_operator_that_sums_in_float32(tmp_path, by_channel):
    export(torch.float16, tmp_path / "norms.onnx", by_channel=by_channel)
    kinds = [node.op_type for node in onnx.load(tmp_path / "norms.onnx").graph.node]
    assert kinds.count("GroupNormalization") == 2
    assert "InstanceNormalization" not in kinds
