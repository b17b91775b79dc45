"""A loaded net in the form that its graph is made of: the same function, matrices turned and split beforehand.

The exporter writes a linear layer as a transposition of its weight and a product, and what is cut out of a weight as an
operation on it; a full-size weight is too large for it to fold that away. Here a matrix is held as the product wants
it. Where it can be it is another view of the published weight, so a folded net takes little memory of its own: that of
the audio transformers' products.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.blocks import GEGLU, SpatialResBlock
from export.hallo2.networks.transformers import AudioBlock, Pointwise

M = TypeVar("M", bound=nn.Module)


class Matrix(nn.Module):
    """x @ weight + bias, the weight (in, out)."""

    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        self.weight = fixed(weight)
        self.bias = None if bias is None else fixed(bias)

    @classmethod
    def of(cls, linear: nn.Linear) -> Matrix:
        return cls(linear.weight.t(), linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        product = x @ self.weight
        return product if self.bias is None else product + self.bias


class FoldedGEGLU(nn.Module):
    """The value's and the gate's matrices apart."""

    def __init__(self, geglu: GEGLU):
        super().__init__()
        halves = zip(geglu.proj.weight.chunk(2), geglu.proj.bias.chunk(2), strict=True)
        self.value, self.gate = (Matrix(weight.t(), bias) for weight, bias in halves)

    def forward(self, x: Tensor) -> Tensor:
        return self.value(x) * F.gelu(self.gate(x))


class FoldedResBlock(nn.Module):
    """The shift by the time embedding is a convolution of one cell; or, where the time is known, part of a bias."""

    def __init__(self, block: SpatialResBlock, known: Tensor | None):
        """`known`: the embedding (1, E), through SiLU, where it is always the same."""
        super().__init__()
        self.norm1, self.conv1, self.norm2, self.conv2 = block.norm1, block.conv1, block.norm2, block.conv2
        if hasattr(block, "conv_shortcut"):
            self.conv_shortcut = block.conv_shortcut
        time = block.time_emb_proj
        if known is None:
            self.shift = nn.Conv2d(time.in_features, time.out_features, 1, device="meta")
            self.shift.weight, self.shift.bias = fixed(time.weight[:, :, None, None]), fixed(time.bias)
        else:
            assert block.conv1.bias is not None
            self.conv1.bias = fixed(block.conv1.bias + time(known)[0])

    def forward(self, x: Tensor, emb: Tensor | None = None) -> Tensor:
        """`emb` (1, E), through SiLU, where it was not known."""
        h = self.conv1(F.silu(self.norm1(x)))
        if emb is not None:
            h = h + self.shift(emb[:, :, None, None])
        h = self.conv2(F.silu(self.norm2(h)))
        return (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x) + h


def fixed(tensor: Tensor) -> nn.Parameter:
    """A weight that nobody trains; of the same storage."""
    return nn.Parameter(tensor.detach(), requires_grad=False)


def folded(net: M, known: Tensor | None = None) -> M:
    """`net` in its graph's form, whose keys are others. Its weights are in the memory of those of `net`, which stays as
    it is, even where the other is halved.

    `known`: as for `FoldedResBlock`.
    """
    shared: dict[int, Any] = {id(weight): fixed(weight) for weight in net.parameters()}
    shared |= {id(tensor): tensor for tensor in net.buffers()}
    net = copy.deepcopy(net, shared)
    with torch.no_grad():
        _fold(net, known)
    return net


def _fold(module: nn.Module, known: Tensor | None) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, SpatialResBlock):
            setattr(module, name, FoldedResBlock(child, known))
        elif isinstance(child, GEGLU):
            setattr(module, name, FoldedGEGLU(child))
        elif isinstance(child, Pointwise):
            setattr(module, name, Matrix(child.weight[:, :, 0, 0].t(), child.bias))
        elif isinstance(child, nn.Linear):
            setattr(module, name, Matrix.of(child))
        else:
            if isinstance(child, AudioBlock):
                child.fold()
            _fold(child, known)
