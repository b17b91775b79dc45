"""The face restorer: CodeFormer, whose transformer looks over the frames of a window too. Parameter names are the
published ones.

A face is encoded, a transformer chooses for every cell of 16 x 16 one of 1024 codes, and a generator draws the face
that has these codes, with as much of the encoder's features as `fidelity` says.

Source: SPEC 9; Zhou et al. 2022, "Towards Robust Blind Face Restoration with Codebook Lookup Transformer".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.blocks import Downsample, Upsample, attend
from export.enhancer.networks.config import RestorerConfig

EPS = 1e-6  # of group norms
STATISTICS_EPS = 1e-5  # of a variance
SLOPE = 0.2


class ResidualBlock(nn.Module):
    """GN-SiLU-conv3x3 twice, + shortcut; on (N, C, h, w)."""

    def __init__(self, channels_in: int, channels_out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in, eps=EPS)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, channels_out, eps=EPS)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        if channels_in != channels_out:
            self.conv_out = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return (self.conv_out(x) if hasattr(self, "conv_out") else x) + h


class CellAttention(nn.Module):
    """One head over the cells of a picture, + residual; on (N, C, h, w)."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=EPS)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        normal = self.norm(x)
        q, k, v = (tokens(conv(normal)) for conv in (self.q, self.k, self.v))
        return x + self.proj_out(cells(attend(q, k, v, 1), x.shape[2]))


class Blocks(nn.Module):
    """Half of the autoencoder: a list of blocks, of which some are listened to."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)


def encoder_blocks(config: RestorerConfig) -> tuple[list[nn.Module], dict[int, int]]:
    """The encoder's blocks, and by a level's side the number of the block whose features it is known by."""
    groups, channels, side = config.groups, config.channels[0], config.side
    blocks: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1)]
    last: dict[int, int] = {}
    for level, wider in enumerate(config.channels):
        for _ in range(config.blocks_per_level):
            blocks.append(ResidualBlock(channels, wider, groups))
            channels = wider
            last[side] = len(blocks) - 1
            if side == config.attention_side:
                blocks.append(CellAttention(channels, groups))
        if level < len(config.channels) - 1:
            blocks.append(Downsample(channels, asymmetric=True))
            side //= 2
    blocks += [*_middle(channels, groups), nn.GroupNorm(groups, channels, eps=EPS)]
    return [*blocks, nn.Conv2d(channels, config.latent, 3, padding=1)], last


def generator_blocks(config: RestorerConfig) -> tuple[list[nn.Module], dict[int, int]]:
    """The generator's blocks, and by a level's side the number of its first block, behind which features are fused."""
    groups, channels, side = config.groups, config.channels[-1], config.attention_side
    blocks: list[nn.Module] = [nn.Conv2d(config.latent, channels, 3, padding=1), *_middle(channels, groups)]
    first: dict[int, int] = {}
    for level, narrower in enumerate(reversed(config.channels)):
        for _ in range(config.blocks_per_level):
            blocks.append(ResidualBlock(channels, narrower, groups))
            channels = narrower
            first.setdefault(side, len(blocks) - 1)
            if side == config.attention_side:
                blocks.append(CellAttention(channels, groups))
        if level < len(config.channels) - 1:
            blocks.append(Upsample(channels))
            side *= 2
    return [*blocks, nn.GroupNorm(groups, channels, eps=EPS), nn.Conv2d(channels, 3, 3, padding=1)], first


def _middle(channels: int, groups: int) -> list[nn.Module]:
    return [
        ResidualBlock(channels, channels, groups),
        CellAttention(channels, groups),
        ResidualBlock(channels, channels, groups),
    ]


class Attention(nn.Module):
    """Heads over tokens (N, S, C), with the stacked projections of torch's MultiheadAttention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, asked: Tensor, valued: Tensor) -> Tensor:
        """Queries and keys of `asked`, values of `valued`."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (F.linear(x, w, b) for x, w, b in zip((asked, asked, valued), weights, biases, strict=True))
        return self.out_proj(attend(q, k, v, self.heads))


class TransformerLayer(nn.Module):
    """Attention over the cells of a frame, feed-forward; attention over the frames of each cell, feed-forward."""

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        width, mlp = config.width, config.mlp
        self.self_attn, self.temp_attn = (Attention(width, config.heads) for _ in range(2))
        self.linear1, self.temp_linear1 = (nn.Linear(width, mlp) for _ in range(2))
        self.linear2, self.temp_linear2 = (nn.Linear(mlp, width) for _ in range(2))
        self.norm1, self.norm2, self.temp_norm, self.temp_ffn_norm = (nn.LayerNorm(width) for _ in range(4))

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        """`x` (F, S, C), `position` (S, C): of a cell, in every frame; frames have none."""
        u = self.norm1(x)
        x = x + self.self_attn(u + position, u)
        x = x + self.linear2(F.gelu(self.linear1(self.norm2(x))))
        u = self.temp_norm(x)
        over_time = self.temp_attn((u + position).transpose(0, 1), u.transpose(0, 1))
        x = x + over_time.transpose(0, 1)
        return x + self.temp_linear2(F.gelu(self.temp_linear1(self.temp_ffn_norm(x))))


class Fusion(nn.Module):
    """What the encoder saw at a level, to scale and shift the generator's features by."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.encode_enc = ResidualBlock(2 * channels, channels, groups)
        self.scale, self.shift = (
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.LeakyReLU(SLOPE),
                nn.Conv2d(channels, channels, 3, padding=1),
            )
            for _ in range(2)
        )

    def forward(self, encoded: Tensor, decoded: Tensor, fidelity: Tensor) -> Tensor:
        """`decoded`, changed by `fidelity` (1,) of what the encoder says; 0 leaves it as it is, exactly."""
        seen = self.encode_enc(torch.cat([encoded, decoded], dim=1))
        return decoded + fidelity * (decoded * self.scale(seen) + self.shift(seen))


class Codebook(nn.Module):
    """The codes: `embedding.weight` (codebook, latent)."""

    def __init__(self, codes: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, width)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the encoder and the transformer made of faces."""

    feature: Tensor  # (F, latent, h, w), the encoder's last
    levels: Mapping[int, Tensor]  # side -> the encoder's features there
    embedding: Tensor  # (F, S, width)
    layers: list[Tensor]  # (F, S, width), behind each layer of the transformer
    logits: Tensor  # (F, S, codebook)


class Restorer(nn.Module):
    """(F, 3, 512, 512) RGB in [-1, 1], frames of one window, and fidelity (1,) in [0, 1] -> the same, not clamped."""

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        self.config = config
        seen, self._encoded = encoder_blocks(config)
        drawn, self._fused = generator_blocks(config)
        self.position_emb = nn.Parameter(torch.empty(config.attention_side**2, config.width))
        self.encoder = Blocks(seen)
        self.quantize = Codebook(config.codebook, config.latent)
        self.generator = Blocks(drawn)
        self.feat_emb = nn.Linear(config.latent, config.width)
        self.ft_layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.layers))
        self.idx_pred_layer = nn.Sequential(
            nn.LayerNorm(config.width), nn.Linear(config.width, config.codebook, bias=False)
        )
        widths = {config.side >> level: c for level, c in enumerate(config.channels)}
        self.fuse_convs_dict = nn.ModuleDict({str(side): Fusion(widths[side], config.groups) for side in config.fusion})

    def forward(self, faces: Tensor, fidelity: Tensor) -> Tensor:
        seen = self.see(faces)
        return self.draw(seen, seen.logits.argmax(dim=-1), fidelity)

    def see(self, faces: Tensor) -> Seen:
        levels, x = {}, faces
        wanted = {self._encoded[side]: side for side in self.config.fusion}
        for number, block in enumerate(self.encoder.blocks):
            x = block(x)
            if number in wanted:
                levels[wanted[number]] = x
        embedding = self.feat_emb(tokens(x))
        layers = []
        told = embedding
        for layer in self.ft_layers:
            told = layer(told, self.position_emb)
            layers.append(told)
        logits = self.idx_pred_layer(told)
        return Seen(feature=x, levels=levels, embedding=embedding, layers=layers, logits=logits)

    def draw(self, seen: Seen, codes: Tensor, fidelity: Tensor) -> Tensor:
        """The faces of `codes` (F, S)."""
        x = adapted(cells(self.quantize.embedding(codes), self.config.attention_side), seen.feature)
        fused = {self._fused[side]: side for side in self.config.fusion}
        for number, block in enumerate(self.generator.blocks):
            x = block(x)
            if number in fused:
                side = fused[number]
                x = self.fuse_convs_dict[str(side)](seen.levels[side], x, fidelity)
        return x


def adapted(codes: Tensor, feature: Tensor) -> Tensor:
    """`codes` with the mean and the deviation that `feature` has, in each frame and channel over all cells."""
    mean, deviation = _statistics(codes)
    wanted_mean, wanted_deviation = _statistics(feature)
    return (codes - mean) / deviation * wanted_deviation + wanted_mean


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation over the cells of (N, C, h, w), of the unbiased variance: (N, C, 1, 1) each."""
    mean = x.mean(dim=(2, 3), keepdim=True)
    count = x.shape[2] * x.shape[3]
    variance = (x - mean).square().sum(dim=(2, 3), keepdim=True) / (count - 1)
    return mean, (variance + STATISTICS_EPS).sqrt()


def tokens(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, h*w, C)."""
    return x.flatten(2).transpose(1, 2)


def cells(x: Tensor, side: int) -> Tensor:
    """(N, side*side, C) -> (N, C, side, side)."""
    return x.transpose(1, 2).reshape(-1, x.shape[2], side, side)
