"""What the networks of several models are made of: residual blocks, attention, the autoencoder's encoder; and how a
network is made without content, and given its parameters.

Parameter names are diffusers' (and so the published ones). Both models come from Stable Diffusion: one picture a batch
entry, (N, C, h, w), or its cells as tokens, (N, S, C) with S = h*w.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class _NothingToInitialise(TorchFunctionMode):
    """Draws no numbers: there are none on the meta device, and PyTorch would import its compiler to draw them there,
    which takes a second."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return function(*args, **kwargs)


def made_on(device: str, make: Callable[[], nn.Module]) -> nn.Module:
    """What `make` makes, there, in eval mode. On the "meta" device it has shapes and no memory."""
    with torch.device(device), _NothingToInitialise() if device == "meta" else nullcontext():
        return make().eval()


def with_parameters(module: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """`module`, which has no content yet, with exactly these parameters in float32, owned by the caller.

    fp16 checkpoints are widened, as upstream does before it encodes: the values are the stored ones.
    """
    widened = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    module.load_state_dict(widened, strict=True, assign=True)
    return module.requires_grad_(False)


class SpatialResBlock(nn.Module):
    """GN-SiLU-conv3x3, + Linear(SiLU(emb)), GN-SiLU-conv3x3, + shortcut; on (N, C, h, w)."""

    def __init__(self, channels_in: int, channels_out: int, *, embedding: int | None, eps: float, groups: int = 32):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in, eps=eps)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        if embedding is not None:
            self.time_emb_proj = nn.Linear(embedding, channels_out)
        self.norm2 = nn.GroupNorm(groups, channels_out, eps=eps)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        if channels_in != channels_out:
            self.conv_shortcut = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, emb: Tensor | None = None) -> Tensor:
        """`emb` is (1, E) or (N, E), already through SiLU."""
        h = self.conv1(F.silu(self.norm1(x)))
        if emb is not None:
            h = h + self.time_emb_proj(emb).reshape(-1, h.shape[1], 1, 1)
        h = self.conv2(F.silu(self.norm2(h)))
        return (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x) + h


class Downsample(nn.Module):
    """Halve the sides. `asymmetric` is the VAE encoder's: padded right and below only."""

    def __init__(self, channels: int, *, asymmetric: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=0 if asymmetric else 1)
        self.asymmetric = asymmetric

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.asymmetric else x)


class Upsample(nn.Module):
    """Double the sides: nearest, then a 3x3 convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class HalvingConvolutions(nn.Module):
    """3x3 convolutions with SiLU between them; every second one halves the sides, three in all at full size."""

    def __init__(self, *, out_channels: int, block_out_channels: Sequence[int]) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, block_out_channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for channels, wider in pairwise(block_out_channels):
            self.blocks.append(nn.Conv2d(channels, channels, 3, padding=1))
            self.blocks.append(nn.Conv2d(channels, wider, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(block_out_channels[-1], out_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """(..., 3, H, W) -> (..., out_channels, H/8, W/8), each image by itself."""
        leading = image.shape[:-3]
        x = F.silu(self.conv_in(image.reshape(-1, *image.shape[-3:])))
        for conv in self.blocks:
            x = F.silu(conv(x))
        x = self.conv_out(x)
        return x.reshape(*leading, *x.shape[1:])


def group_norms_by(module: nn.Module, groups: int) -> None:
    """Let every group norm of `module` take its channels in so many groups. The published networks have 32.

    A norm removes its groups' means. Of 32 channels in 32 groups nothing is left that says how bright or of what
    colour a whole picture is; a narrow network needs fewer groups. No key and no shape depends on it.
    """
    for norm in module.modules():
        if isinstance(norm, nn.GroupNorm):
            norm.num_groups = groups


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(N, S, heads*d) -> (N, heads, S, d)."""
    batch, length, _ = x.shape
    return x.reshape(batch, length, heads, -1).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(N, heads, S, d) -> (N, S, heads*d)."""
    batch, heads, length, width = x.shape
    return x.transpose(1, 2).reshape(batch, length, heads * width)


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Softmax attention; q (N, S, C), k and v (N, K, C), all heads side by side. Returns (N, S, C)."""
    attended = F.scaled_dot_product_attention(split_heads(q, heads), split_heads(k, heads), split_heads(v, heads))
    return merge_heads(attended)


def frequencies(width: int) -> Tensor:
    """10000^(-2i/width) for i < width/2: (width/2,) float32."""
    half = width // 2
    return torch.exp(-torch.log(torch.tensor(10000.0)) * torch.arange(half, dtype=torch.float32) / half)


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of `positions` (N,) at width/2 frequencies 10000^(-2i/width): (N, width) float32."""
    angles = positions.to(torch.float32)[:, None] * frequencies(width)[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """The autoencoder's constructor facts, SVD's by default; channels run from the finest level to the coarsest."""

    in_channels: int = 3
    out_channels: int = 3
    latent_channels: int = 4
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    scaling_factor: float = 0.18215
    norm_groups: int = 32

    @classmethod
    def from_diffusers(cls, config: Mapping[str, Any]) -> VAEConfig:
        """From the dict that diffusers and the published `vae/config.json` use."""
        return cls(
            in_channels=config["in_channels"],
            out_channels=config["out_channels"],
            latent_channels=config["latent_channels"],
            block_out_channels=tuple(config["block_out_channels"]),
            layers_per_block=config["layers_per_block"],
            scaling_factor=config["scaling_factor"],
            norm_groups=config.get("norm_num_groups", 32),
        )

    def to_diffusers(self) -> dict[str, Any]:
        """The same facts as diffusers names them."""
        return {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "latent_channels": self.latent_channels,
            "block_out_channels": list(self.block_out_channels),
            "layers_per_block": self.layers_per_block,
            "scaling_factor": self.scaling_factor,
            "down_block_types": ["DownEncoderBlock2D"] * len(self.block_out_channels),
            "norm_num_groups": self.norm_groups,
        }

    @property
    def downscale(self) -> int:
        """Pixels a latent cell covers, along a side."""
        return 2 ** (len(self.block_out_channels) - 1)


class PixelAttention(nn.Module):
    """One head over all cells of a frame, around a residual; on (N, C, h, w)."""

    def __init__(self, width: int, *, groups: int = 32):
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.to_q = nn.Linear(width, width)
        self.to_k = nn.Linear(width, width)
        self.to_v = nn.Linear(width, width)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.group_norm(x).flatten(2).transpose(1, 2)[:, None]
        attended = F.scaled_dot_product_attention(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens))
        return x + self.to_out[0](attended[:, 0]).transpose(1, 2).reshape(x.shape)


class Level(nn.Module):
    """One level's residual blocks, and the change of size after them."""

    def __init__(self, resnets: Sequence[nn.Module], sampler: tuple[str, nn.Module] | None = None):
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        if sampler is not None:
            setattr(self, sampler[0], nn.ModuleList([sampler[1]]))


class MidBlock(nn.Module):
    """Residual blocks with one attention among them."""

    def __init__(self, resnets: Sequence[nn.Module], width: int, *, groups: int = 32):
        super().__init__()
        self.attentions = nn.ModuleList([PixelAttention(width, groups=groups)])
        self.resnets = nn.ModuleList(resnets)


class Encoder(nn.Module):
    """(N, 3, H, W) -> (N, 2*latent, h, w), one image at a time: no time in it."""

    def __init__(self, config: VAEConfig):
        super().__init__()
        channels, groups = config.block_out_channels, config.norm_groups
        self.conv_in = nn.Conv2d(config.in_channels, channels[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        for level, width in enumerate(channels):
            before = channels[max(level - 1, 0)]
            self.down_blocks.append(
                Level(
                    [
                        SpatialResBlock(before if i == 0 else width, width, embedding=None, eps=1e-6, groups=groups)
                        for i in range(config.layers_per_block)
                    ],
                    ("downsamplers", Downsample(width, asymmetric=True)) if level < len(channels) - 1 else None,
                )
            )
        top = channels[-1]
        self.mid_block = MidBlock(
            [SpatialResBlock(top, top, embedding=None, eps=1e-6, groups=groups) for _ in range(2)], top, groups=groups
        )
        self.conv_norm_out = nn.GroupNorm(groups, top, eps=1e-6)
        self.conv_out = nn.Conv2d(top, 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        block: Any  # a Level; a ModuleList does not know what it holds
        x = self.conv_in(x)
        for block in self.down_blocks:
            for resnet in block.resnets:
                x = resnet(x)
            if hasattr(block, "downsamplers"):
                x = block.downsamplers[0](x)
        x = self.mid_block.resnets[0](x)
        x = self.mid_block.resnets[1](self.mid_block.attentions[0](x))
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class MLP(nn.Module):
    """Linear, SiLU, Linear: time, added-id and frame-position embeddings."""

    def __init__(self, width_in: int, width: int, width_out: int):
        super().__init__()
        self.linear_1 = nn.Linear(width_in, width)
        self.linear_2 = nn.Linear(width, width_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(x)))


class GEGLU(nn.Module):
    """One Linear's halves are a value and a gate: value * gelu(gate), exact GELU.

    The weights are split, not their product: splitting that copies the widest tensor of a block, a tenth of the
    pocket denoiser's time on ONNX Runtime's CPU provider. Every element is the same sum.
    """

    def __init__(self, width: int, width_out: int):
        super().__init__()
        self.proj = nn.Linear(width, width_out * 2)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = zip(self.proj.weight.chunk(2), self.proj.bias.chunk(2), strict=True)
        return F.linear(x, *value) * F.gelu(F.linear(x, *gate))


class FeedForward(nn.Module):
    """GEGLU four times as wide, then Linear. `net.1` is the published dropout's empty place."""

    def __init__(self, width: int):
        super().__init__()
        self.net = nn.ModuleList([GEGLU(width, width * 4), nn.Identity(), nn.Linear(width * 4, width)])

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2](self.net[0](x))
