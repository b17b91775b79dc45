"""Where features are, as weights of pixels and of cells."""

from __future__ import annotations

import torch
from torch import Tensor


def near(points: Tensor, side: int, *, reach: float = 1.0) -> Tensor:
    """How near each of side x side cells is to one of `points` (N, K, 2), in cells: (N, side, side) from 0 to 1."""
    cells = torch.arange(side, device=points.device, dtype=points.dtype)
    x = torch.exp(-0.5 * ((cells - points[..., :1]) / reach).square())  # (N, K, side)
    y = torch.exp(-0.5 * ((cells - points[..., 1:]) / reach).square())
    return torch.einsum("nky,nkx->nyx", y, x).clamp(max=1)
