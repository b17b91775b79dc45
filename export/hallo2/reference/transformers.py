"""The three transformers of a layer as released: spatial with its reading of the bank, audio, motion.

Both halves of a pair go through everything here, (unconditional, conditional) on the first axis, and hidden states are
(2, C, F, h, w). What the released program computes and throws away is computed and thrown away here as well.

Source: SPEC 0.2, 0.5, 4.1, 4.2, 4.4, 4.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from torch import nn

WRAP_EPS = 1e-6  # of the group norm in front of a transformer; residual blocks have 1e-5
MOTION_GROUPS = 32  # of the motion modules' group norms, whatever the net's other norms have


def fold(x: torch.Tensor) -> torch.Tensor:
    """(2, C, F, h, w) -> (2F, C, h, w): frames become rows, all of the first half first."""
    return x.transpose(1, 2).flatten(0, 1)


def unfold(x: torch.Tensor, pair: int) -> torch.Tensor:
    """(pair F, C, h, w) -> (pair, C, F, h, w)."""
    return x.unflatten(0, (pair, -1)).transpose(1, 2)


def as_tokens(x: torch.Tensor) -> torch.Tensor:
    """(rows, C, h, w) -> (rows, L, C); cells in the order of rows of the picture."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def as_cells(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """(rows, L, C) -> (rows, C, h, w)."""
    return x.unflatten(1, tuple(size)).permute(0, 3, 1, 2).contiguous()


def attention(width: int, heads: int, context: int | None = None) -> Attention:
    """diffusers' attention: no bias in q, k, v, one in the projection out."""
    return Attention(query_dim=width, cross_attention_dim=context, heads=heads, dim_head=width // heads, bias=False)


class SpatialBlock(nn.Module):
    """Self-attention that reads the bank, cross-attention to the image tokens, feed-forward."""

    def __init__(self, channels: int, heads: int, image_token_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = attention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = attention(channels, heads, image_token_dim)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels, activation_fn="geglu")

    def forward(
        self, x: torch.Tensor, tokens: torch.Tensor, bank: torch.Tensor, frames: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x (2F, L, C), tokens (2F, n, D), bank (2(1+m), L, C) -> x, motion features (2, m, L, C)."""
        halves = bank.unflatten(0, (2, -1))
        references, motion_features = halves[:, 0], halves[:, 1:]
        # The pair is repeated as a whole, so a frame's reference follows from the parity of its row, not from its half.
        references = references.repeat(frames, 1, 1)
        own = self.norm1(x)
        attended = self.attn1(own, torch.cat([own, references], dim=1)) + x
        unconditional = self.attn1(own[:frames], own[:frames]) + x[:frames]
        x = torch.cat([unconditional, attended[frames:]])  # the other half of `attended` was for nothing
        x = x + self.attn2(self.norm2(x), tokens)
        return x + self.ff(self.norm3(x)), motion_features


class SpatialTransformer(nn.Module):
    """`attentions.*` of the denoising net."""

    def __init__(self, *, channels: int, heads: int, image_token_dim: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=WRAP_EPS)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(channels, heads, image_token_dim)])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(
        self, hidden: torch.Tensor, image_tokens: torch.Tensor, bank: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """hidden (2, C, F, h, w), image_tokens (2, n, D), bank (2(1+m), L, C) -> hidden, motion features
        (2, m, L, C): the bank's rows of the motion frames, unchanged."""
        frames = hidden.shape[2]
        x = fold(hidden)
        y = as_tokens(self.proj_in(self.norm(x)))
        tokens = image_tokens.repeat_interleave(frames, dim=0)
        y, motion_features = self.transformer_blocks[0](y, tokens, bank, frames)
        x = self.proj_out(as_cells(y, x.shape[2:])) + x
        return unfold(x, hidden.shape[0]), motion_features


class AudioBlock(nn.Module):
    """Self-attention, three masked cross-attentions to the audio tokens, feed-forward."""

    def __init__(self, width: int, heads: int, audio_token_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.attn2_0 = attention(width, heads, audio_token_dim)
        self.attn2_1 = attention(width, heads, audio_token_dim)
        self.attn2_2 = attention(width, heads, audio_token_dim)
        self.zero_conv_full = nn.Conv2d(width, width, 1)
        self.zero_conv_face = nn.Conv2d(width, width, 1)
        self.zero_conv_lip = nn.Conv2d(width, width, 1)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width, activation_fn="geglu")

    def forward(
        self,
        x: torch.Tensor,
        tokens: torch.Tensor,
        masks: Sequence[torch.Tensor],
        motion_scale: Sequence[float],
        size: Sequence[int],
    ) -> torch.Tensor:
        """x (2F, L, W), tokens (2F, k, Da), masks full, face, lip (L), motion_scale pose, face, lip."""
        x = x + self.attn1(self.norm1(x))
        query, parts = self.norm2(x), []
        layers = (
            (self.attn2_0, self.zero_conv_full),
            (self.attn2_1, self.zero_conv_face),
            (self.attn2_2, self.zero_conv_lip),
        )
        for (attend, zero_conv), mask, scale in zip(layers, masks, motion_scale, strict=True):
            masked = attend(query, tokens) * mask[None, :, None]
            parts.append(scale * as_tokens(zero_conv(as_cells(masked, size))))  # its bias is not masked
        x = x + parts[0] + parts[1] + parts[2]
        return x + self.ff(self.norm3(x))


class AudioTransformer(nn.Module):
    """`audio_modules.*`; inside it is `inner` wide, which is the input width of its place."""

    def __init__(self, *, channels: int, inner: int, heads: int, audio_token_dim: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=WRAP_EPS)
        self.proj_in = nn.Conv2d(channels, inner, 1)
        self.transformer_blocks = nn.ModuleList([AudioBlock(inner, heads, audio_token_dim)])
        self.proj_out = nn.Conv2d(inner, channels, 1)

    def forward(
        self,
        hidden: torch.Tensor,
        audio_tokens: torch.Tensor,
        masks: Sequence[torch.Tensor],
        motion_scale: Sequence[float],
    ) -> torch.Tensor:
        """hidden (2, C, F, h, w), audio_tokens (2, F, k, Da), masks full, face, lip (L) -> hidden."""
        x = fold(hidden)
        y = as_tokens(self.proj_in(self.norm(x)))
        y = self.transformer_blocks[0](y, audio_tokens.flatten(0, 1), masks, motion_scale, x.shape[2:])
        return unfold(self.proj_out(as_cells(y, x.shape[2:])) + x, hidden.shape[0])


class PositionTable(nn.Module):
    """Sinusoids that are added to the first frames; released as a persistent buffer, so every table is a weight."""

    pe: torch.Tensor

    def __init__(self, channels: int, positions: int) -> None:
        super().__init__()
        position = torch.arange(positions).unsqueeze(1)
        frequency = torch.exp(torch.arange(0, channels, 2) * (-math.log(10000.0) / channels))
        pe = torch.zeros(1, positions, channels)
        pe[0, :, 0::2], pe[0, :, 1::2] = torch.sin(position * frequency), torch.cos(position * frequency)
        self.register_buffer("pe", pe)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.pe[:, : x.shape[1]]


class TemporalAttention(Attention):
    """diffusers' attention over time: positions are added before q, k and v alike."""

    def __init__(self, channels: int, heads: int, positions: int) -> None:
        super().__init__(query_dim=channels, heads=heads, dim_head=channels // heads, bias=False)
        self.pos_encoder = PositionTable(channels, positions)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(self.pos_encoder(x))


class TemporalBlock(nn.Module):
    """Two attentions over time, feed-forward."""

    def __init__(self, channels: int, heads: int, positions: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(TemporalAttention(channels, heads, positions) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.ff = FeedForward(channels, activation_fn="geglu")
        self.ff_norm = nn.LayerNorm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (2L, T, C)."""
        for attend, norm in zip(self.attention_blocks, self.norms, strict=True):
            x = x + attend(norm(x))
        return x + self.ff(self.ff_norm(x))


class TemporalTransformer(nn.Module):
    """A motion module without its outer name."""

    def __init__(self, channels: int, heads: int, positions: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(MOTION_GROUPS, channels, eps=WRAP_EPS)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(channels, heads, positions)])
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(2, C, T, h, w) -> the same shape."""
        pair, _, frames, height, width = hidden.shape
        x = fold(hidden)
        y = self.proj_in(as_tokens(self.norm(x)))  # (2T, L, C)
        y = y.unflatten(0, (pair, frames)).transpose(1, 2).flatten(0, 1)  # (2L, T, C)
        y = self.transformer_blocks[0](y)
        y = y.unflatten(0, (pair, height * width)).transpose(1, 2).flatten(0, 1)
        return unfold(as_cells(self.proj_out(y), (height, width)) + x, pair)


class MotionModule(nn.Module):
    """`motion_modules.*`: the motion frames stand in front of the clip's, and none is dropped here."""

    def __init__(self, *, channels: int, heads: int, positions: int) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(channels, heads, positions)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.temporal_transformer(hidden)
