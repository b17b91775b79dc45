"""The two ways through an autoencoder, as graphs have them.

An autoencoder is any model's: a module with `config`, `encoder`, `quant_conv`, `decoder` and `decode`.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn


class VaeEncoder(nn.Module):
    """Pictures (N, 3, H, W) in [-1, 1] to the mean of the latent distribution (N, 4, h, w), not scaled; the variance
    half of the last convolution is not computed."""

    def __init__(self, vae: Any):
        super().__init__()
        self.encoder, self.quant_conv, self.channels = vae.encoder, vae.quant_conv, vae.config.latent_channels

    def forward(self, image: Tensor) -> Tensor:
        assert self.quant_conv.bias is not None
        weight, bias = self.quant_conv.weight[: self.channels], self.quant_conv.bias[: self.channels]
        return F.conv2d(self.encoder(image), weight, bias)


class VaeDecoder(nn.Module):
    """Scaled latents, as the loop holds them, (N, 4, h, w), to frames (N, 3, H, W), not clamped.

    `norms_by_channel`: the form that its group norms are exported in (`export/graphs/group_norm.py`).
    """

    def __init__(self, vae: Any, *, norms_by_channel: bool = False):
        super().__init__()
        self.norms_by_channel = norms_by_channel
        self.vae, self.scale = vae, 1.0 / vae.config.scaling_factor

    def forward(self, latents: Tensor) -> Tensor:
        dtype = self.vae.decoder.conv_in.weight.dtype
        return self.vae.decode((latents * self.scale).to(dtype)).float()
