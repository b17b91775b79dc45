"""Where training starts from: parameters that let a deep residual network learn at once.

Every residual branch ends in zeros, so that a block begins as the identity, and what the time layers add begins as
nothing. The rest is PyTorch's own.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from export.networks.appearance import Appearance, Block
from export.networks.blocks import SpatialResBlock, TemporalConv, TemporalResBlock, TimeMixer
from export.networks.unet import SpatioTemporalTransformer, UNet
from export.networks.vae import Decoder, PixelAttention, VAEConfig

DEGREES = 20.0  # how large the head's angles are, beside features of size one


@torch.no_grad()
def start(module: nn.Module) -> nn.Module:
    """`module`, on a real device, with every parameter at its starting value."""
    for part in module.modules():
        if isinstance(part, TemporalConv):
            bound = 1 / math.sqrt(part.weight.shape[1] * 3)
            part.weight.uniform_(-bound, bound)
            part.bias.zero_()
        elif isinstance(part, TimeMixer):
            part.mix_factor.zero_()
    for part in module.modules():
        if isinstance(part, SpatialResBlock | TemporalResBlock):
            _zero(part.conv2)
        elif isinstance(part, SpatioTemporalTransformer):
            _zero(part.proj_out)
        elif isinstance(part, PixelAttention):
            _zero(part.to_out[0])
        elif isinstance(part, Block):
            part.ls1.gamma.fill_(0.2)
            part.ls2.gamma.fill_(0.2)
        elif isinstance(part, Appearance):
            for table in (part.cls_token, part.pos_embed, part.register_tokens, part.mask_token):
                table.normal_(0, 0.1)
        elif isinstance(part, Decoder):
            keep_time(part)
        elif isinstance(part, UNet):
            _zero(part.conv_out)
            for name, weight in part.named_parameters():
                if name.endswith(("to_k_ip.0.weight", "to_v_ip.0.weight")):
                    weight[:, -6:] /= DEGREES
            # Beside the noisy latents come the portrait's, which are not scaled to one.
            part.conv_in.weight[:, part.config.in_channels // 2 :] *= VAEConfig().scaling_factor
    return module


def keep_time(decoder: Decoder) -> None:
    """The last convolution along time begins as none."""
    decoder.time_conv_out.weight.zero_()
    for channel in range(decoder.time_conv_out.weight.shape[0]):
        decoder.time_conv_out.weight[channel, channel, 1] = 1.0
    decoder.time_conv_out.bias.zero_()


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        parameter.zero_()
