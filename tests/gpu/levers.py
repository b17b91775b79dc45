"""Parts of the UNet in the forms that they can be written in, alike in what they compute: which form is faster?

Shapes are those of the full model's finest level, two rows of 25 frames at 512 px; on a CPU small ones, for trying.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FRAMES = 25


@dataclass(frozen=True)
class Sizes:
    """Of the level: channels, cells along a side, width of a head."""

    channels: int
    side: int
    head: int = 64


SIZES = {"cuda": Sizes(320, 64), "cpu": Sizes(64, 4)}


class TimeAsPlane(nn.Module):
    """(R F, C, h, w) as planes of time and space, (R, C, F, S), and a kernel of (3, 1): as exported."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.conv = nn.Conv2d(sizes.channels, sizes.channels, (3, 1), padding=(1, 0))

    def forward(self, x: Tensor) -> Tensor:
        c, h, w = x.shape[1:]
        planes = x.reshape(-1, FRAMES, c, h * w).transpose(1, 2)
        return self.conv(planes).transpose(1, 2).reshape(-1, c, h, w)


class TimeAsVolume(nn.Module):
    """As a 3-D convolution of (3, 1, 1) on (R, C, F, h, w)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.conv = nn.Conv3d(sizes.channels, sizes.channels, (3, 1, 1), padding=(1, 0, 0))

    def forward(self, x: Tensor) -> Tensor:
        c, h, w = x.shape[1:]
        volume = x.reshape(-1, FRAMES, c, h, w).transpose(1, 2)
        return self.conv(volume).transpose(1, 2).reshape(-1, c, h, w)


class TimeAsProducts(nn.Module):
    """As three products on tokens (R, F, S, C), of the frame before, the frame itself, and the one behind."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.conv = nn.Conv2d(sizes.channels, sizes.channels, (3, 1), padding=(1, 0))

    def forward(self, x: Tensor) -> Tensor:
        c, h, w = x.shape[1:]
        tokens = x.reshape(-1, FRAMES, c, h * w).transpose(2, 3)
        padded = F.pad(tokens, (0, 0, 0, 0, 1, 1))
        before, now, behind = (self.conv.weight[:, :, i, 0].T for i in range(3))
        made = padded[:, :-2] @ before + padded[:, 1:-1] @ now + padded[:, 2:] @ behind + self.conv.bias
        return made.transpose(2, 3).reshape(-1, c, h, w)


class GegluSplit(nn.Module):
    """Two products, of the value and of the gate: as exported."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.proj = nn.Linear(sizes.channels, 8 * sizes.channels)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = zip(self.proj.weight.chunk(2), self.proj.bias.chunk(2), strict=True)
        return F.linear(x, *value) * F.gelu(F.linear(x, *gate))


class GegluWhole(GegluSplit):
    """One product of twice the width, whose result is split."""

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class NormSilu(nn.Module):
    """Group norm and SiLU, twice a residual block."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, sizes.channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.norm(x))


class Attention(nn.Module):
    """Softmax attention of (B, heads, N, D): q, k and v are one tensor each, as after their products."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v)


@dataclass(frozen=True, kw_only=True)
class Lever:
    """One part. `forms`: the first is as exported; all have the same weights. `shapes`: of a row's inputs, whose first
    size is multiplied by the rows."""

    forms: Mapping[str, Callable[[Sizes], nn.Module]]
    shapes: Callable[[Sizes], Mapping[str, tuple[int, ...]]]
    flops: Callable[[Sizes], float]  # of a row


def _pictures(s: Sizes) -> Mapping[str, tuple[int, ...]]:
    return {"x": (FRAMES, s.channels, s.side, s.side)}


def _attention(batch: int, heads: int, count: int, width: int) -> Mapping[str, tuple[int, ...]]:
    return dict.fromkeys(("q", "k", "v"), (batch, heads, count, width))


def _cells(s: Sizes) -> int:
    return s.side * s.side


LEVERS: Mapping[str, Lever] = {
    "convolution in time": Lever(
        forms={"a kernel of (3, 1)": TimeAsPlane, "conv3d": TimeAsVolume, "three products": TimeAsProducts},
        shapes=_pictures,
        flops=lambda s: 2 * 3 * s.channels**2 * FRAMES * _cells(s),
    ),
    "GEGLU": Lever(
        forms={"split": GegluSplit, "whole": GegluWhole},
        shapes=lambda s: {"x": (FRAMES, _cells(s), s.channels)},
        flops=lambda s: 16 * s.channels**2 * FRAMES * _cells(s),
    ),
    "group norm with SiLU": Lever(forms={"apart": NormSilu}, shapes=_pictures, flops=lambda s: 0),
    "attention in space": Lever(
        forms={"of a level's cells": lambda s: Attention()},
        shapes=lambda s: _attention(FRAMES, s.channels // s.head, _cells(s), s.head),
        flops=lambda s: 4 * FRAMES * s.channels * _cells(s) ** 2,
    ),
    "attention in time": Lever(
        forms={"of 25 frames": lambda s: Attention()},
        shapes=lambda s: _attention(_cells(s), s.channels // s.head, FRAMES, s.head),
        flops=lambda s: 4 * _cells(s) * s.channels * FRAMES**2,
    ),
}


class ByRow(nn.Module):
    """A form of one input whose rows are a size of their own: (R, items, ...)."""

    def __init__(self, form: nn.Module) -> None:
        super().__init__()
        self.form = form

    def forward(self, x: Tensor) -> Tensor:
        return self._of_rows(x)

    def _of_rows(self, *inputs: Tensor) -> Tensor:
        made: Tensor = self.form(*(x.flatten(0, 1) for x in inputs))
        return made.reshape(*inputs[0].shape[:2], *made.shape[1:])


class AttentionByRow(ByRow):
    """The exporter wants to see each input by name."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        return self._of_rows(q, k, v)


def by_row(form: nn.Module) -> ByRow:
    """`form` with rows as a size of their own."""
    return AttentionByRow(form) if isinstance(form, Attention) else ByRow(form)


def module_of(lever: Lever, form: str, device: str) -> nn.Module:
    """In float32 on the CPU, without gradients; forms of one lever have the same weights."""
    sizes = SIZES[device]
    generator = torch.Generator().manual_seed(0)
    first = next(iter(lever.forms.values()))(sizes)
    state = {
        name: torch.randn(p.shape, generator=generator) / max(p[0].numel(), 1) ** 0.5
        for name, p in first.state_dict().items()
    }
    module = lever.forms[form](sizes)
    module.load_state_dict({name: state[name].reshape(p.shape) for name, p in module.state_dict().items()})
    return module.eval().requires_grad_(False)


def inputs_of(lever: Lever, device: str, rows: int) -> dict[str, Tensor]:
    """Unit normal, float32, on the CPU."""
    generator = torch.Generator().manual_seed(1)
    shapes = lever.shapes(SIZES[device])
    return {name: torch.randn(rows * s[0], *s[1:], generator=generator) for name, s in shapes.items()}
