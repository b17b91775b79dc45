"""The SVD-XT UNet with HunyuanPortrait's motion adapters, cut for the graph.

State-dict keys and shapes are the published ones (1492 at full size). Against the released
forward pass, these steps are rewritten, each exactly (docs/graphs.md):

- Temporal cross-attention: its context is the window's mean, one per row, the same at every pixel. K and V
  are projected once per row and every token of the row asks them: (R, F*S, C) against (R, n, C).
- Spatial cross-attention to the image: the tokens are the same for every frame of a row, so again one K, V per row.
- Time and frame-position embeddings depend on nothing but the schedule and the window: the first
  come in as an input, the second are a constant of the graph.

Letters: R rows, F frames, S = h*w latent cells, C channels, n image and m motion tokens, D their width.
Source: SPEC 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.blocks import MLP, Downsample, FeedForward, Upsample, attend, group_norms_by, sinusoids
from export.hunyuanportrait.networks.blocks import SpatioTemporalResBlock, TimeMixer


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """SVD's constructor facts. Per-level values run from the finest level to the coarsest."""

    in_channels: int = 8
    out_channels: int = 4
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    num_attention_heads: tuple[int, ...] = (5, 10, 20, 20)
    layers_per_block: tuple[int, ...] = (2, 2, 2, 2)
    transformer_layers_per_block: tuple[int, ...] = (1, 1, 1, 1)
    cross_attention_dim: int = 1024
    addition_time_embed_dim: int = 256
    projection_class_embeddings_input_dim: int = 768
    down_attention: tuple[bool, ...] = (True, True, True, False)
    up_attention: tuple[bool, ...] = (False, True, True, True)
    norm_groups: int = 32

    @classmethod
    def from_diffusers(cls, config: Mapping[str, Any]) -> UNetConfig:
        """From the dict that diffusers and the published `unet/config.json` use."""
        levels = len(config["block_out_channels"])

        def per_level(value: int | Sequence[int]) -> tuple[int, ...]:
            return (value,) * levels if isinstance(value, int) else tuple(value)

        return cls(
            in_channels=config["in_channels"],
            out_channels=config["out_channels"],
            block_out_channels=tuple(config["block_out_channels"]),
            num_attention_heads=per_level(config["num_attention_heads"]),
            layers_per_block=per_level(config["layers_per_block"]),
            transformer_layers_per_block=per_level(config["transformer_layers_per_block"]),
            cross_attention_dim=config["cross_attention_dim"],
            addition_time_embed_dim=config["addition_time_embed_dim"],
            projection_class_embeddings_input_dim=config["projection_class_embeddings_input_dim"],
            down_attention=tuple(t.startswith("CrossAttn") for t in config["down_block_types"]),
            up_attention=tuple(t.startswith("CrossAttn") for t in config["up_block_types"]),
            norm_groups=config.get("norm_num_groups", 32),
        )

    def to_diffusers(self) -> dict[str, Any]:
        """The same facts as diffusers names them."""
        return {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "block_out_channels": list(self.block_out_channels),
            "num_attention_heads": list(self.num_attention_heads),
            "layers_per_block": list(self.layers_per_block),
            "transformer_layers_per_block": list(self.transformer_layers_per_block),
            "cross_attention_dim": self.cross_attention_dim,
            "addition_time_embed_dim": self.addition_time_embed_dim,
            "projection_class_embeddings_input_dim": self.projection_class_embeddings_input_dim,
            "down_block_types": [
                "CrossAttnDownBlockSpatioTemporal" if a else "DownBlockSpatioTemporal" for a in self.down_attention
            ],
            "up_block_types": [
                "CrossAttnUpBlockSpatioTemporal" if a else "UpBlockSpatioTemporal" for a in self.up_attention
            ],
            "norm_num_groups": self.norm_groups,
        }

    def thinner(self, layers: Sequence[int]) -> UNetConfig:
        """The same with so many layers a level."""
        return replace(self, layers_per_block=tuple(layers))

    @property
    def embedding_dim(self) -> int:
        return self.block_out_channels[0] * 4


@dataclass(frozen=True)
class Context:
    """What cross-attention sees besides pixels.

    image:  (R, n, D), one set for all frames; or (R, F, n, D), one per frame.
    motion: (R, F, m, D).
    """

    image: Tensor
    motion: Tensor

    def mean(self) -> Context:
        """The window's mean over frames: (R, n, D) and (R, m, D), the temporal layers' context."""
        image = self.image if self.image.dim() == 3 else self.image.mean(dim=1)
        return Context(image, self.motion.mean(dim=1))


class SelfAttention(nn.Module):
    """Tokens (N, S, C) ask each other; with `frames`, each pixel's F frames ask each other instead."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tensor) -> Tensor:
        return self.to_out[0](attend(self.to_q(x), self.to_k(x), self.to_v(x), self.heads))

    def over_frames(self, x: Tensor, frames: int) -> Tensor:
        """x (R*F, S, C). A pixel's frames are brought together once, before they are projected."""
        _, cells, width = x.shape
        by_pixel = x.reshape(-1, frames, cells, width).transpose(1, 2).reshape(-1, frames, width)
        attended = self.forward(by_pixel).reshape(-1, cells, frames, width).transpose(1, 2)
        return attended.reshape(-1, cells, width)


class MotionProjections(nn.Module):
    """The adapter's two matrices, stored where the published files have them."""

    def __init__(self, width: int, context_width: int):
        super().__init__()
        self.to_k_ip = nn.ModuleList([nn.Linear(context_width, width, bias=False)])
        self.to_v_ip = nn.ModuleList([nn.Linear(context_width, width, bias=False)])


class CrossAttention(nn.Module):
    """out(attend(q, image) + motion_scale * attend(q, motion)), one q for both (SPEC 4.2)."""

    def __init__(self, width: int, heads: int, context_width: int, *, motion_scale: float = 1.0):
        super().__init__()
        self.heads = heads
        self.motion_scale = motion_scale
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.processor = MotionProjections(width, context_width)

    def forward(self, x: Tensor, image: Tensor, motion: Tensor, frames: int) -> Tensor:
        """x (R*F, S, C); image and motion are each (R, n, D), the same for all frames, or (R, F, n, D)."""
        q = self.to_q(x)
        ip = self.processor
        out = self._ask(q, image, self.to_k, self.to_v, frames)
        motion_out = self._ask(q, motion, ip.to_k_ip[0], ip.to_v_ip[0], frames)
        out = out + (motion_out if self.motion_scale == 1.0 else self.motion_scale * motion_out)
        return self.to_out[0](out)

    def _ask(self, q: Tensor, context: Tensor, to_k: nn.Module, to_v: nn.Module, frames: int) -> Tensor:
        _, cells, width = q.shape
        if context.dim() == 3:  # one context a row: all its frames' tokens ask in one call, nothing is repeated
            q = q.reshape(-1, frames * cells, width)
        else:
            context = context.flatten(0, 1)
        return attend(q, to_k(context), to_v(context), self.heads).reshape(-1, cells, width)


class SpatialBlock(nn.Module):
    """Self-attention inside a frame, cross-attention, feed-forward."""

    def __init__(self, width: int, heads: int, context_width: int, motion_scale: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = CrossAttention(width, heads, context_width, motion_scale=motion_scale)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, context: Context, frames: int) -> Tensor:
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context.image, context.motion, frames)
        return x + self.ff(self.norm3(x))


class TemporalBlock(nn.Module):
    """Feed-forward, self-attention along frames, cross-attention to the window's mean, feed-forward."""

    def __init__(self, width: int, heads: int, context_width: int, motion_scale: float):
        super().__init__()
        self.norm_in = nn.LayerNorm(width)
        self.ff_in = FeedForward(width)
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = CrossAttention(width, heads, context_width, motion_scale=motion_scale)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, mean: Context, frames: int) -> Tensor:
        x = x + self.ff_in(self.norm_in(x))
        x = x + self.attn1.over_frames(self.norm1(x), frames)
        x = x + self.attn2(self.norm2(x), mean.image, mean.motion, frames)
        return x + self.ff(self.norm3(x))


class SpatioTemporalTransformer(nn.Module):
    """Space and time in turn, blended, around a residual; on (R*F, C, h, w)."""

    along_time = True  # False leaves the layers along time out: each frame is a picture of its own

    def __init__(self, width: int, heads: int, layers: int, context_width: int, motion_scale: float):
        super().__init__()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in = nn.Linear(width, width)
        blocks = (width, heads, context_width, motion_scale)
        self.transformer_blocks = nn.ModuleList(SpatialBlock(*blocks) for _ in range(layers))
        self.temporal_transformer_blocks = nn.ModuleList(TemporalBlock(*blocks) for _ in range(layers))
        self.time_pos_embed = MLP(width, width * 4, width)
        self.time_mixer = TimeMixer()
        self.proj_out = nn.Linear(width, width)

    def frame_positions(self, frames: int) -> Tensor:
        """(F, 1, C): an embedding of each frame's place in its window. Weights and F alone decide it."""
        dtype = self.proj_in.weight.dtype
        return self.time_pos_embed(sinusoids(torch.arange(frames), self.proj_in.in_features).to(dtype))[:, None]

    def forward(self, x: Tensor, context: Context, mean: Context, frames: int) -> Tensor:
        _, channels, height, width = x.shape
        residual = x
        x = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        positions = self.frame_positions(frames)
        space = self.time_mixer.weight()
        for spatial, temporal in zip(self.transformer_blocks, self.temporal_transformer_blocks, strict=True):
            x = spatial(x, context, frames)
            if not self.along_time:
                continue
            placed = (x.reshape(-1, frames, height * width, channels) + positions).reshape(-1, height * width, channels)
            x = space * x + (1 - space) * temporal(placed, mean, frames)
        x = self.proj_out(x).transpose(1, 2).reshape(-1, channels, height, width)
        # In this order the sum is stored as the residual is, plane by plane. The other way round it would be stored as
        # x is, pixel by pixel, where torch's group norms on a CPU are 20 times less accurate at the coarsest levels.
        return residual + x


class Level(nn.Module):
    """One level, down or up: residual blocks, each with a transformer where the level has attention."""

    def __init__(
        self,
        channels: Sequence[tuple[int, int]],
        *,
        embedding: int,
        eps: float,
        transformer: Mapping[str, Any] | None,
        sampler: tuple[str, nn.Module] | None,
    ):
        super().__init__()
        if transformer is not None:
            self.attentions = nn.ModuleList(SpatioTemporalTransformer(channels[0][1], **transformer) for _ in channels)
        self.resnets = nn.ModuleList(
            SpatioTemporalResBlock(c_in, c_out, embedding=embedding, eps=eps) for c_in, c_out in channels
        )
        if sampler is not None:
            setattr(self, sampler[0], nn.ModuleList([sampler[1]]))


class MidBlock(nn.Module):
    """Residual, then transformer and residual, at the coarsest level."""

    def __init__(self, channels: int, *, embedding: int, transformer: Mapping[str, Any]):
        super().__init__()
        self.attentions = nn.ModuleList([SpatioTemporalTransformer(channels, **transformer)])
        self.resnets = nn.ModuleList(
            SpatioTemporalResBlock(channels, channels, embedding=embedding, eps=1e-5) for _ in range(2)
        )

    def forward(self, x: Tensor, context: Context, mean: Context, frames: int, emb: Tensor) -> Tensor:
        x = self.resnets[0](x, frames, emb)
        x = self.attentions[0](x, context, mean, frames)
        return self.resnets[1](x, frames, emb)


class StepEmbedding(nn.Module):
    """MLP(sinusoids(t)) + MLP(sinusoids of fps, bucket, noise): the whole schedule in one call."""

    def __init__(self, unet: UNet):
        super().__init__()
        self.time_embedding, self.add_embedding = unet.time_embedding, unet.add_embedding
        self.time_width = unet.config.block_out_channels[0]
        self.id_width = unet.config.addition_time_embed_dim

    def forward(self, timesteps: Tensor, added_time_ids: Tensor) -> Tensor:
        """timesteps (N,) = 0.25*ln(sigma); added_time_ids (3,) for all or (N, 3). Returns (N, E)."""
        ids = sinusoids(added_time_ids.flatten(), self.id_width).reshape(-1, 3 * self.id_width)
        dtype = self.time_embedding.linear_1.weight.dtype
        time = self.time_embedding(sinusoids(timesteps, self.time_width).to(dtype))
        return time + self.add_embedding(ids.to(dtype))


class UNet(nn.Module):
    """Published keys and numbers; the forward pass of this module's heading."""

    def __init__(self, config: UNetConfig | None = None, *, motion_scale: float = 1.0):
        super().__init__()
        self.config = config = config or UNetConfig()
        channels, layers, embedding = config.block_out_channels, config.layers_per_block, config.embedding_dim
        top = len(channels) - 1

        def transformer(level: int) -> dict[str, Any]:
            return {
                "heads": config.num_attention_heads[level],
                "layers": config.transformer_layers_per_block[level],
                "context_width": config.cross_attention_dim,
                "motion_scale": motion_scale,
            }

        self.conv_in = nn.Conv2d(config.in_channels, channels[0], 3, padding=1)
        self.time_embedding = MLP(channels[0], embedding, embedding)
        self.add_embedding = MLP(config.projection_class_embeddings_input_dim, embedding, embedding)

        # The published constructor drops its epsilon on the way to most blocks: only a level without attention on
        # the way down, and the middle, have 1e-5 (SPEC 4.4).
        self.down_blocks = nn.ModuleList()
        for level, width in enumerate(channels):
            previous = channels[max(level - 1, 0)]
            self.down_blocks.append(
                Level(
                    [(previous if i == 0 else width, width) for i in range(layers[level])],
                    embedding=embedding,
                    eps=1e-6 if config.down_attention[level] else 1e-5,
                    transformer=transformer(level) if config.down_attention[level] else None,
                    sampler=("downsamplers", Downsample(width)) if level < top else None,
                )
            )
        self.mid_block = MidBlock(channels[top], embedding=embedding, transformer=transformer(top))
        self.up_blocks = nn.ModuleList()
        for i in range(len(channels)):
            level = top - i
            width, below, finer = channels[level], channels[min(level + 1, top)], channels[max(level - 1, 0)]
            count = layers[level] + 1
            pairs = []
            for k in range(count):
                skip = finer if k == count - 1 else width
                pairs.append(((below if k == 0 else width) + skip, width))
            self.up_blocks.append(
                Level(
                    pairs,
                    embedding=embedding,
                    eps=1e-6,
                    transformer=transformer(level) if config.up_attention[i] else None,
                    sampler=("upsamplers", Upsample(width)) if level > 0 else None,
                )
            )
        self.conv_norm_out = nn.GroupNorm(32, channels[0], eps=1e-5)
        self.conv_out = nn.Conv2d(channels[0], config.out_channels, 3, padding=1)
        group_norms_by(self, config.norm_groups)

    def forward(
        self, sample: Tensor, step_embedding: Tensor, context: Context, frames: int, stem_bias: Tensor | None = None
    ) -> Tensor:
        """One denoising estimate.

        sample (R*F, 8, h, w): scaled latents beside image latents. step_embedding (1, E), or (R, E).
        stem_bias: pose features, (F, C, h, w) or broadcastable to (R, F, C, h, w), added after conv_in.
        Returns v (R*F, 4, h, w).
        """
        stem, seen = self._stem(sample, frames, stem_bias), (F.silu(step_embedding), context, context.mean(), frames)
        return self._outer(stem, self._inner(stem, *seen), *seen)

    def inner(
        self, sample: Tensor, step_embedding: Tensor, context: Context, frames: int, stem_bias: Tensor | None = None
    ) -> Tensor:
        """All but the last layer: what that one is given, the deep features (R*F, C, h, w), C of the finest level."""
        stem = self._stem(sample, frames, stem_bias)
        return self._inner(stem, F.silu(step_embedding), context, context.mean(), frames)

    def outer(
        self,
        sample: Tensor,
        deep: Tensor,
        step_embedding: Tensor,
        context: Context,
        frames: int,
        stem_bias: Tensor | None = None,
    ) -> Tensor:
        """The estimate from deep features, of this sample or of one before it: the first convolution, the last layer.

        Source of the cut: Ma et al. 2023, "DeepCache", its first skip branch.
        """
        stem = self._stem(sample, frames, stem_bias)
        return self._outer(stem, deep, F.silu(step_embedding), context, context.mean(), frames)

    def _stem(self, sample: Tensor, frames: int, bias: Tensor | None) -> Tensor:
        x = self.conv_in(sample)
        return x if bias is None else (x.reshape(-1, frames, *x.shape[1:]) + bias).reshape(x.shape)

    def _inner(self, stem: Tensor, emb: Tensor, context: Context, mean: Context, frames: int) -> Tensor:
        x, skips = stem, [stem]
        block: Any  # a Level; a ModuleList does not know what it holds
        for block in self.down_blocks:
            for i, resnet in enumerate(block.resnets):
                x = resnet(x, frames, emb)
                if hasattr(block, "attentions"):
                    x = block.attentions[i](x, context, mean, frames)
                skips.append(x)
            if hasattr(block, "downsamplers"):
                x = block.downsamplers[0](x)
                skips.append(x)
        x = self.mid_block(x, context, mean, frames, emb)
        for block in self.up_blocks:
            for i, resnet in enumerate(block.resnets):
                if len(skips) == 1:  # the stem itself is the last layer's
                    return x
                x = resnet(torch.cat([x, skips.pop()], dim=1), frames, emb)
                if hasattr(block, "attentions"):
                    x = block.attentions[i](x, context, mean, frames)
            if hasattr(block, "upsamplers"):
                x = block.upsamplers[0](x)
        raise AssertionError("every layer but the last has a skip of its own")

    def _outer(self, stem: Tensor, deep: Tensor, emb: Tensor, context: Context, mean: Context, frames: int) -> Tensor:
        block: Any = self.up_blocks[-1]
        x = block.resnets[-1](torch.cat([deep, stem], dim=1), frames, emb)
        if hasattr(block, "attentions"):
            x = block.attentions[-1](x, context, mean, frames)
        return self.conv_out(F.silu(self.conv_norm_out(x)))
