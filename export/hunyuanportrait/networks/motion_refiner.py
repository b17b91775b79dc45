"""Intensity-aware motion refiner: learned queries read one expression feature a frame.

A Perceiver resampler. The queries ("latents", the paper's motion memory bank in its released
form) start from the clip's motion intensity; two ids, head and expression, choose that
intensity. Frames are the batch: nothing here mixes frames.

Source: SPEC 3.3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

INTENSITIES = 128  # ids 0..127, SPEC 7.4


class AdaptiveNorm(nn.Module):
    """LayerNorm without weights of its own; the intensity gives shift (first) and scale."""

    def __init__(self, width: int, intensity_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.linear = nn.Linear(intensity_dim, 2 * width)

    def forward(self, x: torch.Tensor, intensity: torch.Tensor) -> torch.Tensor:
        shift, scale = self.linear(F.silu(intensity)).unsqueeze(1).chunk(2, dim=-1)
        return self.norm(x) * (1 + scale) + shift


class CrossAttention(nn.Module):
    """torch's MultiheadAttention by its parameter names, in plain ops: the graph has one attention and no surprises."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, query: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        width = query.shape[-1]
        q = F.linear(query, self.in_proj_weight[:width], self.in_proj_bias[:width])
        k, v = F.linear(context, self.in_proj_weight[width:], self.in_proj_bias[width:]).chunk(2, dim=-1)
        q, k, v = (t.unflatten(-1, (self.heads, width // self.heads)).transpose(1, 2) for t in (q, k, v))
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Linear, relu squared, linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c_proj(F.relu(self.c_fc(x)).square())


class PerceiverBlock(nn.Module):
    """The queries attend to themselves and to the frame's one token, then a feed-forward."""

    def __init__(self, width: int, heads: int, intensity_dim: int) -> None:
        super().__init__()
        self.attn = CrossAttention(width, heads)
        self.mlp = FeedForward(width)
        self.ln_1 = AdaptiveNorm(width, intensity_dim)
        self.ln_2 = AdaptiveNorm(width, intensity_dim)
        self.ln_ff = AdaptiveNorm(width, intensity_dim)

    def forward(self, latents: torch.Tensor, frame: torch.Tensor, intensity: torch.Tensor) -> torch.Tensor:
        query = self.ln_1(latents, intensity)
        latents = latents + self.attn(query, torch.cat([query, self.ln_2(frame, intensity)], dim=1))
        return latents + self.mlp(self.ln_ff(latents, intensity))


class Connector(nn.Module):
    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        num_queries: int,
        intensity_dim: int,
        width: int,
        layers: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.latents = nn.Parameter(nn.init.normal_(torch.empty(num_queries, width), std=width**-0.5))
        self.intensity_aware_linear = nn.Linear(intensity_dim, width)
        self.proj_in = nn.Linear(input_dim, width)
        self.perceiver_blocks = nn.ModuleList(PerceiverBlock(width, heads, intensity_dim) for _ in range(layers))
        self.proj_out = nn.Sequential(nn.Linear(width, output_dim), nn.LayerNorm(output_dim))

    def forward(self, features: torch.Tensor, intensity: torch.Tensor) -> torch.Tensor:
        latents = self.latents + self.intensity_aware_linear(F.silu(intensity)).unsqueeze(1)
        latents = latents.expand(features.shape[0], -1, -1)  # frames may be dynamic: no repeat_interleave
        frame = self.proj_in(features).unsqueeze(1)
        for block in self.perceiver_blocks:
            latents = block(latents, frame, intensity)
        return self.proj_out(latents)


class MotionRefiner(nn.Module):
    """Expression features and a pair of intensity ids to refined motion tokens."""

    def __init__(
        self,
        *,
        input_dim: int,
        output_dim: int,
        num_queries: int,
        intensity_embed_dim: int,
        width: int,
        layers: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.position_head = nn.Embedding(INTENSITIES, intensity_embed_dim)
        self.position_exp = nn.Embedding(INTENSITIES, intensity_embed_dim)
        self.connector = Connector(input_dim, output_dim, num_queries, intensity_embed_dim, width, layers, heads)

    def forward(self, features: torch.Tensor, head_id: torch.Tensor, exp_id: torch.Tensor) -> torch.Tensor:
        """(F, input_dim), and ids (1) int64 in 0..127 that hold for all frames -> (F, num_queries, output_dim)."""
        return self.connector(features, self.position_head(head_id) + self.position_exp(exp_id))
