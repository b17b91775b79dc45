"""Two attentions of one query, as exported: the same numbers, and something TensorRT for RTX can compile."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.graphs.trace import export_onnx
from export.hunyuanportrait.networks.unet import CrossAttention
from export.weights.random import load_random

FRAMES, CELLS, WIDTH, TOKENS, CONTEXT = 3, 4, 16, 5, 12


class Temporal(torch.nn.Module):
    """The UNet's cross-attention with one image and one motion context a row, as its temporal layers have it."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.attention = CrossAttention(WIDTH, heads, CONTEXT)

    def forward(self, x: torch.Tensor, image: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
        return self.attention(x.flatten(0, 1), image, motion, x.shape[1]).unflatten(0, x.shape[:2])


def spec(frames: int | str = FRAMES) -> NetworkSpec:
    def tensor(name, *dims):
        return TensorSpec(name=name, dims=dims, dtype="float32")

    return NetworkSpec(
        name="temporal",
        inputs=(
            tensor("x", "rows", frames, CELLS, WIDTH),
            tensor("image", "rows", TOKENS, CONTEXT),
            tensor("motion", "rows", TOKENS, CONTEXT),
        ),
        outputs=(tensor("y", "rows", frames, CELLS, WIDTH),),
        ranges={"rows": DimRange(min=1, opt=2, max=3)}
        | ({"frames": DimRange(min=1, opt=3, max=5)} if frames == "frames" else {}),
    )


def example(rows: int, frames: int = FRAMES) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    return {
        t.name: torch.randn([rows if d == "rows" else d for d in t.dims], generator=generator)
        for t in spec(frames).inputs
    }


@pytest.mark.parametrize("heads", [1, 2])
def test_the_second_attention_asks_frame_by_frame_and_gives_the_same(tmp_path, backend, heads):
    module, path = load_random(Temporal(heads)), tmp_path / "temporal.onnx"
    export_onnx(module, spec(), example(2), path)

    shapes = {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in onnx.load(path).graph.value_info
    }
    queries = [shapes[n.input[0]] for n in onnx.load(path).graph.node if n.op_type == "Attention"]
    assert [query[1:] for query in queries] == [[FRAMES * CELLS, WIDTH], [CELLS, WIDTH]]
    session = backend.load(spec(), path)
    for rows in (1, 2, 3):
        inputs = example(rows)
        made = session.run({name: backend.upload(tensor.numpy()) for name, tensor in inputs.items()})["y"]
        with torch.no_grad():
            expected = module(*inputs.values()).numpy()
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-6)  # float32, sums of 16 numbers of about 1


@pytest.mark.parametrize("heads", [1, 2])
def test_a_window_of_any_length_is_asked_frame_by_frame_too(tmp_path, backend, heads):
    module, path = load_random(Temporal(heads)), tmp_path / "temporal.onnx"
    export_onnx(module, spec("frames"), example(2), path)
    attentions = [node for node in onnx.load(path).graph.node if node.op_type == "Attention"]
    assert len({node.input[0] for node in attentions}) == len(attentions) == 2
    session = backend.load(spec("frames"), path)
    for rows, frames in ((1, 1), (2, 3), (3, 5), (1, 2)):
        inputs = example(rows, frames)
        made = session.run({name: backend.upload(tensor.numpy()) for name, tensor in inputs.items()})["y"]
        with torch.no_grad():
            expected = module(*inputs.values()).numpy()
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-6)


def test_self_attention_is_left_as_it_is(tmp_path):
    class Self(torch.nn.Module):
        def forward(self, x, image, motion):
            tokens = x.flatten(0, 1)[:, None]
            return torch.nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)[:, 0].unflatten(
                0, (-1, FRAMES)
            ) + (image.sum() + motion.sum())

    export_onnx(Self(), spec(), example(2), tmp_path / "self.onnx")
    names = [node.name for node in onnx.load(tmp_path / "self.onnx").graph.node]
    assert not [name for name in names if "by_frame" in name]
