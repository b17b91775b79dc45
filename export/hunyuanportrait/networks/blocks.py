"""Residual blocks through space and time, shared by the UNet and the VAE.

Parameter names are diffusers' (and so the published ones); the forward passes are cut for the graph:

- Frames travel folded into the batch, (R*F, C, h, w) or (R*F, S, C) with S = h*w tokens. F is a Python
  number, so every reshape is static but for the rows.
- A Conv3d of kernel (3, 1, 1) is a Conv2d of kernel (3, 1) over an image of F x S: the 2D kernels of
  every engine are the well-kept ones.
- The blend of a residual block is a*s + (1-a)*(s + r) = s + (1-a)*r, r being the temporal branch alone.

Source: SPEC 4.4 and 6.1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.blocks import SpatialResBlock


class TimeMixer(nn.Module):
    """Holds the blend between space and time; sigmoid(mix_factor) is its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.mix_factor = nn.Parameter(torch.empty(1))

    def weight(self) -> Tensor:
        return torch.sigmoid(self.mix_factor)


class TemporalConv(nn.Module):
    """Conv3d (3, 1, 1), zero padded in time, applied to (R, C, F, S). Weight (out, in, 3, 1, 1)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, 3, 1, 1))
        self.bias = nn.Parameter(torch.empty(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.squeeze(-1), self.bias, padding=(1, 0))


class TemporalResBlock(nn.Module):
    """The same along frames: the residual branch alone, on (R, C, F, S)."""

    def __init__(self, channels: int, *, embedding: int | None, eps: float, groups: int = 32):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels, eps=eps)
        self.conv1 = TemporalConv(channels, channels)
        if embedding is not None:
            self.time_emb_proj = nn.Linear(embedding, channels)
        self.norm2 = nn.GroupNorm(groups, channels, eps=eps)
        self.conv2 = TemporalConv(channels, channels)

    def forward(self, x: Tensor, emb: Tensor | None = None) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        if emb is not None:
            h = h + self.time_emb_proj(emb).reshape(-1, h.shape[1], 1, 1)
        return self.conv2(F.silu(self.norm2(h)))


class SpatioTemporalResBlock(nn.Module):
    """Space, then time, blended. `switched` is the VAE's: its mix weighs time, the UNet's weighs space."""

    along_time = True  # False leaves the layers along time out: each frame is a picture of its own

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        embedding: int | None = None,
        eps: float,
        temporal_eps: float | None = None,
        switched: bool = False,
    ):
        super().__init__()
        self.spatial_res_block = SpatialResBlock(channels_in, channels_out, embedding=embedding, eps=eps)
        self.temporal_res_block = TemporalResBlock(channels_out, embedding=embedding, eps=temporal_eps or eps)
        self.time_mixer = TimeMixer()
        self.switched = switched

    def forward(self, x: Tensor, frames: int, emb: Tensor | None = None) -> Tensor:
        """(R*F, C, h, w) -> (R*F, C', h, w). `emb` is (1, E) for all rows, or (R, E)."""
        each = emb if emb is None or emb.shape[0] == 1 else emb[:, None].expand(-1, frames, -1).flatten(0, 1)
        x = self.spatial_res_block(x, each)
        if not self.along_time:
            return x
        _, channels, height, width = x.shape
        by_frame = x.reshape(-1, frames, channels, height * width)
        residual = self.temporal_res_block(by_frame.transpose(1, 2), emb).transpose(1, 2)
        mix = self.time_mixer.weight()
        return x + (mix if self.switched else 1 - mix) * residual.reshape(-1, channels, height, width)
