"""Speech encoder: wav2vec 2.0 (Baevski et al. 2020), read at the pictures' rate; one feature a layer and a frame.

A wave has 49.95 positions a second behind the convolutions, and they are interpolated to exactly as many frames as
asked for before the transformer. How many those are does not follow from the samples, so `left` and `fraction` say
where each frame reads: at position left + fraction. State-dict keys are the published ones without their prefix; the
position convolution's weight is kept as `weight_g` and `weight_v`, and `weight()` makes one of them.

Letters: n positions, N frames, D `hidden`.
Source: SPEC 5.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.blocks import attend
from export.hallo2.networks.config import SpeechConfig

KERNELS = (10, 3, 3, 3, 3, 2, 2)  # of the convolutions along time
STRIDES = (5, 2, 2, 2, 2, 2, 2)


def positions(samples: int) -> int:
    """n, how many positions `samples` of a wave have behind the convolutions; 0 below 400 samples."""
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        samples = max((samples - kernel) // stride + 1, 0)
    return samples


class ConvLayer(nn.Module):
    """Convolution along time, the first one's channels each normalised over time, GELU; on (1, C, n)."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, *, normalised: bool) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels, kernel, stride=stride, bias=False)
        if normalised:
            self.layer_norm = nn.GroupNorm(channels, channels, eps=1e-5)  # called so, and one group a channel

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.gelu(self.layer_norm(x) if hasattr(self, "layer_norm") else x)


class FeatureExtractor(nn.Module):
    """Wave (samples,) -> (n, conv_dim)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_layers = nn.ModuleList(
            ConvLayer(width if i else 1, width, kernel, stride, normalised=i == 0)
            for i, (kernel, stride) in enumerate(zip(KERNELS, STRIDES, strict=True))
        )

    def forward(self, wave: Tensor) -> Tensor:
        x = wave[None, None]
        for layer in self.conv_layers:
            x = layer(x)
        return x[0].transpose(0, 1)


class FeatureProjection(nn.Module):
    """(N, conv_dim) -> (N, D)."""

    def __init__(self, width: int, width_out: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, width_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(self.layer_norm(x))


class WeightNormConv(nn.Module):
    """Convolution along time whose weight is g v / |v|: the norm is over both channel axes, a kernel position each."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.kernel, self.groups = kernel, groups
        self.bias = nn.Parameter(torch.zeros(width))
        self.weight_g = nn.Parameter(torch.ones(1, 1, kernel))
        self.weight_v = nn.Parameter(torch.ones(width, width // groups, kernel))

    def weight(self) -> Tensor:
        """(D, D / groups, kernel)."""
        return self.weight_g * self.weight_v / self.weight_v.square().sum(dim=(0, 1), keepdim=True).sqrt()

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """(1, D, N) -> (1, D, N). An even kernel gives one output too many, and the last one is dropped."""
        x = F.conv1d(x, weight, self.bias, padding=self.kernel // 2, groups=self.groups)
        return x if self.kernel % 2 else x[..., :-1]


class PositionEmbedding(nn.Module):
    """Published name of the place."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.conv = WeightNormConv(config.hidden, config.pos_kernel, config.pos_groups)


class Attention(nn.Module):
    """Self-attention of all frames, every projection with a bias; (1, N, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_proj(attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads))


class SpeechFeedForward(nn.Module):
    """Linear, GELU, Linear."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(width, inner)
        self.output_dense = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.output_dense(F.gelu(self.intermediate_dense(x)))


class Layer(nn.Module):
    """Attention and feed-forward, each normalised behind its residual; (1, N, D)."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.attention = Attention(config.hidden, config.heads)
        self.layer_norm = nn.LayerNorm(config.hidden)
        self.feed_forward = SpeechFeedForward(config.hidden, config.mlp)
        self.final_layer_norm = nn.LayerNorm(config.hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer_norm(x + self.attention(x))
        return self.final_layer_norm(x + self.feed_forward(x))


class Transformer(nn.Module):
    """(N, D) -> (N, layers, D): what comes out of every layer."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.pos_conv_embed = PositionEmbedding(config)
        self.layer_norm = nn.LayerNorm(config.hidden)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def forward(self, x: Tensor, position_weight: Tensor) -> Tensor:
        place = self.pos_conv_embed.conv(x.transpose(0, 1)[None], position_weight)
        x = self.layer_norm(x[None] + F.gelu(place).transpose(1, 2))
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x[0])
        return torch.stack(outputs, dim=1)


class SpeechEncoder(nn.Module):
    """Published keys without `wav2vec2.`; `masked_spec_embed` is among them and serves training alone."""

    def __init__(self, config: SpeechConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SpeechConfig()
        self.masked_spec_embed = nn.Parameter(torch.zeros(config.hidden))
        self.feature_extractor = FeatureExtractor(config.conv_dim)
        self.feature_projection = FeatureProjection(config.conv_dim, config.hidden)
        self.encoder = Transformer(config)

    def interpolated(self, wave: Tensor, left: Tensor, fraction: Tensor) -> Tensor:
        """wave (samples,) of mean 0, variance 1; left (N,) int64 in [0, n), fraction (N,) in [0, 1] -> (N, conv_dim).

        Frame j reads between positions left_j and left_j + 1; at the last position the one behind it is itself.
        """
        x = self.feature_extractor(wave)
        x = torch.cat([x, x[-1:]])
        before, behind = x.index_select(0, left), x.index_select(0, left + 1)
        return before + fraction[:, None] * (behind - before)

    def forward(self, wave: Tensor, left: Tensor, fraction: Tensor, position_weight: Tensor | None = None) -> Tensor:
        """As `interpolated`, -> features (N, layers, D) float32. `position_weight`: folded already, where it is."""
        weight = self.encoder.pos_conv_embed.conv.weight() if position_weight is None else position_weight
        return self.encoder(self.feature_projection(self.interpolated(wave, left, fraction)), weight)
