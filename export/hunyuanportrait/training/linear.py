"""The phase before the autoencoder: the best that it can do without a single residual block, which is where it begins.

A VAE's convolutions outside its blocks are a chain of their own. Alone and linear they are a lapped transform: 8 x 8
pixels to their principal components and back. Descent finds it in minutes where it starts from the components, 2 x 2
cells at a time, and what it keeps of a photograph blocks that start from nothing take hours to learn.

It is then laid into the VAE along the residual stream (`initial_weights.py`): before the two last norms every value
stands beside its negative, silu(a) - silu(-a) = a, and in each group beside a constant, so that a norm hardly knows
how loud a picture is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.blocks import VAEConfig
from export.hunyuanportrait.networks.vae import VAE
from export.hunyuanportrait.training.autoencoder import Autoencoder, space_only
from export.hunyuanportrait.training.clips import as_planes
from export.training.phase import Modules

_PAIRS = 3  # values before the decoder's last norm, in each of its groups
_STEADY = 6.0  # how loud the constants beside the pairs are, in deviations of a value
_SEEN = 24  # batches that components and loudness come from
_QUIET = 0.3  # of what else a stream holds, beside values of about one


class Chain(nn.Module):
    """The convolutions of a VAE outside its blocks: pictures (N, 3, H, W) to latents (N, C, h, w), and back.

    Of a VAE whose coarsest level alone is wider than the others, as pocket's is.
    """

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        *levels, top = config.block_out_channels
        width, values = levels[0], _PAIRS * config.norm_groups
        assert set(levels) == {width} and width < top
        self.conv_in = nn.Conv2d(config.in_channels, width, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2) for _ in levels)
        self.latents = nn.Conv2d(width, config.latent_channels, 1)
        self.first = nn.Conv2d(config.latent_channels, top, 3, padding=1)
        self.narrower = nn.Conv2d(top, width, 1)
        widths = [top, *(width for _ in levels[1:])]
        made = [top, *(width for _ in levels[2:]), values]
        self.up = nn.ModuleList(nn.Conv2d(one, other, 3, padding=1) for one, other in zip(widths, made, strict=True))
        self.conv_out = nn.Conv2d(values, config.out_channels, 3, padding=1)

    def stream(self, x: Tensor) -> Tensor:
        """What the coarsest level begins with, (N, width, h, w)."""
        x = self.conv_in(x)
        for conv in self.down:
            x = conv(F.pad(x, (0, 1, 0, 1)))
        return x

    def encode(self, x: Tensor) -> Tensor:
        return self.latents(self.stream(x))

    def values(self, latents: Tensor) -> Tensor:
        """What stands before the last norm, (N, values, H, W)."""
        x = self.first(latents)
        for number, conv in enumerate(self.up):
            x = conv(F.interpolate(self.narrower(x) if number == 1 else x, scale_factor=2.0, mode="nearest"))
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.values(self.encode(x)))


class LinearPhase:
    """Trains a chain on what the autoencoder will be shown, and leaves it in `vae`, which nothing else trains here."""

    name = "linear"
    curves: tuple[str, ...] = ("loss", "psnr")
    batches = 1
    learning_rate = 4e-3
    faster: Mapping[str, float] = {}

    def __init__(self, vae: VAE, shown: Autoencoder, steps: int, device: torch.device) -> None:
        """`shown`: the autoencoder's own phase, whose pictures these are. `vae` has its initial weights."""
        self.vae, self.shown, self.steps, self.device = vae, shown, steps, device
        torch.manual_seed(0)
        self.chain = Chain(vae.config).to(device)
        principal_components(self.chain, self._seen())
        self.modules: Modules = {"chain": self.chain, "vae": vae}

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        picked = [self.shown.cut_pictures(rng) for _ in range(2)]
        target = as_planes(np.concatenate([pictures for pictures, _ in picked]), self.device) * 2 - 1
        squared = (self.chain(target) - target).square().mean()
        return {"loss": squared, "psnr": -10 * torch.log10(squared / 4)}

    def finish(self, modules: Modules) -> None:
        """Lay the chain into the VAE, which is what the end keeps."""
        lay(cast(Chain, modules["chain"]), cast(VAE, modules["vae"]), self._seen())

    def _seen(self) -> Tensor:
        rng = np.random.default_rng(0)
        cuts = np.concatenate([self.shown.cut_pictures(rng)[0] for _ in range(_SEEN)])
        return as_planes(cuts, self.device) * 2 - 1


@torch.no_grad()
def principal_components(chain: Chain, pictures: Tensor) -> None:
    """Let `chain` encode what matters most in each 8 x 8 pixels of pictures (N, 3, H, W), loudest first."""
    chain.conv_in.weight.zero_()
    assert chain.conv_in.bias is not None
    chain.conv_in.bias.zero_()
    colours = chain.conv_in.in_channels
    chain.conv_in.weight[:colours, :, 1, 1] = torch.eye(colours)
    x = pictures
    for layer in chain.down:
        conv = cast(nn.Conv2d, layer)
        count, channels, height, width = x.shape
        cells = x.reshape(count, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
        flat = cells.reshape(-1, 4 * channels).double()
        _, vectors = torch.linalg.eigh(flat.T @ flat / len(flat))
        kept = vectors.flip(1)[:, : conv.out_channels].T.float()  # (k, 4 x channels)
        conv.weight.zero_()
        conv.bias.zero_()  # type: ignore[union-attr]  # a convolution of ours has one
        conv.weight[: len(kept), :channels, :2, :2] = kept.reshape(-1, channels, 2, 2)
        x = (flat.float() @ kept.T).reshape(count, height // 2, width // 2, -1).permute(0, 3, 1, 2)
    wanted = chain.latents.out_channels
    chain.latents.weight.zero_()
    chain.latents.bias.zero_()  # type: ignore[union-attr]
    # Descent knows nothing of loudness: between as it is and all alike is where it is quickest.
    chain.latents.weight[range(wanted), range(wanted), 0, 0] = x.std(dim=(0, 2, 3))[:wanted].rsqrt()


@torch.no_grad()
def lay(chain: Chain, vae: VAE, pictures: Tensor) -> None:
    """`vae`, with its initial weights, begins as `chain`. Loudness is measured on pictures (N, 3, H, W)."""
    _lay_encoder(chain, vae, pictures)
    _lay_decoder(chain, vae, chain.encode(pictures))
    with space_only(vae.decoder):
        _match_loudness(chain, vae, pictures)


def _lay_encoder(chain: Chain, vae: VAE, pictures: Tensor) -> None:
    encoder, count = vae.encoder, vae.config.latent_channels
    encoder.conv_in.load_state_dict(chain.conv_in.state_dict())
    for block, conv in zip(encoder.down_blocks, chain.down, strict=False):
        block.downsamplers[0].conv.load_state_dict(conv.state_dict())  # type: ignore[index,union-attr]  # a Level
    stream = chain.stream(pictures)
    latents = chain.latents(stream)
    shortcut = cast(nn.Conv2d, encoder.down_blocks[-1].resnets[0].conv_shortcut)  # type: ignore[index,union-attr]
    shortcut.weight *= _QUIET / stream.std()
    places = _places(shortcut.out_channels, vae.config.norm_groups, count)
    _lay_pairs(shortcut, chain.latents, latents, places, vae.config.norm_groups)
    encoder.conv_out.weight.zero_()
    assert encoder.conv_out.bias is not None
    encoder.conv_out.bias.zero_()
    encoder.conv_out.bias[count:] = -4.0  # little noise at first
    for latent, place in enumerate(places):
        for offset, sign in ((0, 1.0), (1, -1.0)):
            encoder.conv_out.weight[latent, place + offset, 1, 1] = sign / vae.config.scaling_factor


def _lay_decoder(chain: Chain, vae: VAE, latents: Tensor) -> None:
    """Of latents as the chain encodes them, (N, C, h, w)."""
    decoder, scale = vae.decoder, vae.config.scaling_factor
    middle, loud = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    assert decoder.conv_in.bias is not None and chain.first.bias is not None and chain.conv_out.bias is not None
    decoder.conv_in.weight.copy_(chain.first.weight * (loud * scale)[:, None, None])
    decoder.conv_in.bias.copy_(chain.first.bias + (chain.first.weight * middle[:, None, None]).sum(dim=(1, 2, 3)))
    for block, conv in zip(decoder.up_blocks, chain.up[:-1], strict=False):
        block.upsamplers[0].conv.load_state_dict(conv.state_dict())  # type: ignore[index,union-attr]  # a Level
    narrower = decoder.up_blocks[1].resnets[0].spatial_res_block.conv_shortcut  # type: ignore[index,union-attr]
    cast(nn.Conv2d, narrower).load_state_dict(chain.narrower.state_dict())
    last = cast(nn.Conv2d, decoder.up_blocks[-2].upsamplers[0].conv)  # type: ignore[index,union-attr]
    values = chain.values(latents)
    last.weight *= _QUIET
    places = _places(last.out_channels, vae.config.norm_groups, values.shape[1])
    _lay_pairs(last, cast(nn.Conv2d, chain.up[-1]), values, places, vae.config.norm_groups)
    decoder.conv_out.weight.zero_()
    middle, loud = values.mean(dim=(0, 2, 3)), values.std(dim=(0, 2, 3))
    assert decoder.conv_out.bias is not None
    decoder.conv_out.bias.copy_(
        chain.conv_out.bias + (chain.conv_out.weight * middle[:, None, None]).sum(dim=(1, 2, 3))
    )
    for value, place in enumerate(places):
        for offset, sign in ((0, 1.0), (1, -1.0)):
            decoder.conv_out.weight[:, place + offset] = sign * chain.conv_out.weight[:, value] * loud[value]


def _match_loudness(chain: Chain, vae: VAE, pictures: Tensor) -> None:
    """What the last norms make quieter, the last convolutions make as loud as the chain has it: by least squares."""
    count = vae.config.latent_channels
    known = chain.encode(pictures)
    wanted = (known - known.mean(dim=(0, 2, 3), keepdim=True)) / known.std(dim=(0, 2, 3), keepdim=True)
    made = vae.encode(pictures)[:, :count] * vae.config.scaling_factor
    vae.encoder.conv_out.weight[:count] *= ((made * wanted).sum(dim=(0, 2, 3)) / made.square().sum(dim=(0, 2, 3)))[
        :, None, None, None
    ]
    seen: list[tuple[Tensor, Tensor]] = []
    norm = vae.decoder.conv_norm_out
    watched = norm.register_forward_hook(lambda _, given, made: seen.append((given[0], made)))
    vae.decode(vae.encode(pictures)[:, :count])
    watched.remove()
    ((given, normed),) = seen
    for channels in torch.arange(norm.num_channels).split(norm.num_channels // norm.num_groups):
        pairs = channels[: 2 * _PAIRS]
        gain = (given[:, pairs] * normed[:, pairs]).sum() / normed[:, pairs].square().sum()
        vae.decoder.conv_out.weight[:, pairs] *= gain


def _places(channels: int, groups: int, values: int) -> list[int]:
    """Where the pair of each value begins, the values shared out among the groups of a norm."""
    in_group = -(-values // groups)
    assert 2 * in_group + 2 <= channels // groups
    return [number // in_group * (channels // groups) + 2 * (number % in_group) for number in range(values)]


def _lay_pairs(conv: nn.Conv2d, plain: nn.Conv2d, made: Tensor, places: list[int], groups: int) -> None:
    """In `conv` what `plain` makes, `made` (N, values, h, w), as pairs of deviation one, and the constants."""
    middle, loud = made.mean(dim=(0, 2, 3)), made.std(dim=(0, 2, 3))
    assert conv.bias is not None and plain.bias is not None
    conv.bias.zero_()
    for value, place in enumerate(places):
        for offset, sign in ((0, 1.0), (1, -1.0)):
            conv.weight[place + offset] = sign * plain.weight[value] / loud[value]
            conv.bias[place + offset] = sign * (plain.bias[value] - middle[value]) / loud[value]
    size = conv.out_channels // groups
    for group in range(groups):
        behind = max(place for place in places if place // size == group) + 2
        conv.weight[behind : behind + 2] = 0
        conv.bias[behind], conv.bias[behind + 1] = _STEADY, -_STEADY
