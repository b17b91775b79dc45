"""Attention with its heads side by side: the same numbers as PyTorch's, and nothing transposed round it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.blocks import attend
from export.graphs.trace import export_onnx

WIDTH = 8


class Attends(torch.nn.Module):
    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return attend(q, k, k, self.heads)


def spec(dtype: str) -> NetworkSpec:
    return NetworkSpec(
        name="attends",
        inputs=(
            TensorSpec(name="q", dims=("rows", "frames", WIDTH), dtype=dtype),
            TensorSpec(name="k", dims=("rows", 5, WIDTH), dtype=dtype),
        ),
        outputs=(TensorSpec(name="y", dims=("rows", "frames", WIDTH), dtype=dtype),),
        ranges={"rows": DimRange(min=1, opt=2, max=3), "frames": DimRange(min=1, opt=4, max=6)},
    )


def exported(heads: int, dtype: torch.dtype, path) -> list[str]:
    """The kinds of its nodes."""
    given = {"q": torch.zeros(2, 4, WIDTH, dtype=dtype), "k": torch.zeros(2, 5, WIDTH, dtype=dtype)}
    export_onnx(Attends(heads), spec(str(dtype).removeprefix("torch.")), given, path)
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_heads_side_by_side_give_what_heads_apart_give(tmp_path, backend, heads):
    kinds = exported(heads, torch.float32, tmp_path / "attends.onnx")
    assert kinds.count("Attention") == 1
    assert "Transpose" not in kinds
    session, generator = backend.load(spec("float32"), tmp_path / "attends.onnx"), torch.Generator().manual_seed(heads)
    for rows, frames in ((1, 1), (2, 4), (3, 6)):
        q, k = (torch.randn(rows, count, WIDTH, generator=generator) for count in (frames, 5))
        made = session.run({"q": backend.upload(q.numpy()), "k": backend.upload(k.numpy())})["y"]
        # float32: sums of at most 8 numbers of about 1, in another order
        np.testing.assert_allclose(made, attend(q, k, k, heads).numpy(), rtol=0, atol=1e-6)


def test_half_precision_keeps_the_heads_apart_as_fused_kernels_were_tried(tmp_path):
    assert exported(2, torch.float16, tmp_path / "attends.onnx").count("Transpose") == 4
