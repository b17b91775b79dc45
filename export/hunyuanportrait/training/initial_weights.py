"""Where training starts from: parameters that let a deep residual network learn at once.

Every residual branch ends in zeros, so that a block begins as the identity, and what the time layers add begins as
nothing. Along the residual stream a plain answer is laid, which training then improves: the autoencoder begins as a
picture made eight times smaller and larger again, the UNet as the portrait that does not move. On a CPU that is worth
the first hour. The rest is PyTorch's own.

A plain answer has to pass SiLU and the last norm: a value travels with its negative in the same group, silu(a) -
silu(-a) = a, and the pair has no mean that the norm could take away.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from export.blocks import Downsample, Encoder, PixelAttention, SpatialResBlock, Upsample, VAEConfig
from export.hunyuanportrait.networks.appearance import Appearance, Block
from export.hunyuanportrait.networks.blocks import TemporalConv, TemporalResBlock, TimeMixer
from export.hunyuanportrait.networks.expression import Bottleneck
from export.hunyuanportrait.networks.head_pose import BasicBlock
from export.hunyuanportrait.networks.motion_refiner import Connector
from export.hunyuanportrait.networks.unet import SpatioTemporalTransformer, StepEmbedding, TemporalBlock, UNet
from export.hunyuanportrait.networks.vae import VAE, Decoder
from runtime import schedule

ADDED_IDS = (12.5, 0.0, 0.0)  # frames a second, bucket, noise: as released, for every clip
LOUD = 8.0  # how large motion tokens are: a step of Adam moves what is large further
DEGREES = 20.0  # how large the head's angles are, beside features of size one


@torch.no_grad()
def with_initial_weights(module: nn.Module) -> nn.Module:
    """`module`, on a real device, with every parameter at its initial value."""
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
            _zero(part.time_pos_embed.linear_2)
        elif isinstance(part, TemporalBlock):
            for last in (part.ff_in.net[2], part.attn1.to_out[0], part.attn2.to_out[0], part.ff.net[2]):
                _zero(last)
        elif isinstance(part, PixelAttention):
            _zero(part.to_out[0])
        elif isinstance(part, Block):
            part.ls1.gamma.fill_(0.2)
            part.ls2.gamma.fill_(0.2)
        elif isinstance(part, Appearance):
            for table in (part.cls_token, part.pos_embed, part.register_tokens, part.mask_token):
                table.normal_(0, 0.1)
        elif isinstance(part, Encoder):
            _shrinking(part)
        elif isinstance(part, Decoder):
            _growing(part)
            keep_time(part)
        elif isinstance(part, VAE):
            nn.init.zeros_(part.quant_conv.weight)
            part.quant_conv.weight[:, :, 0, 0].fill_diagonal_(1.0)
            _zero_bias(part.quant_conv)
        elif isinstance(part, Bottleneck):
            nn.init.zeros_(part.gn3.weight)
        elif isinstance(part, BasicBlock):
            nn.init.zeros_(part.bn2.weight)
        elif isinstance(part, Connector):
            _told(part)
        elif isinstance(part, UNet):
            _zero(part.conv_out)
            _still(part)
            for name, weight in part.named_parameters():
                if name.endswith(("to_k_ip.0.weight", "to_v_ip.0.weight")):
                    weight[:, :-6] /= LOUD
                    weight[:, -6:] *= 2 / DEGREES
                if name.endswith("to_v_ip.0.weight"):
                    weight.mul_(4)
            # Beside the noisy latents come the portrait's, which are not scaled to one.
            part.conv_in.weight[:, part.config.in_channels // 2 :] *= VAEConfig().scaling_factor
    if isinstance(module, UNet):
        _noise(module)  # last, as it fills branches that begin as zeros
    return module


def _shrinking(encoder: Encoder) -> None:
    """Means of 8 x 8 pixels in the first latents."""
    count = encoder.conv_in.in_channels
    _pairs(encoder.conv_in, count)
    _steady(encoder.conv_in, 2 * count)
    for layer in encoder.modules():
        if isinstance(layer, Downsample):
            for channel in range(layer.conv.out_channels):
                layer.conv.weight[channel] = 0
                layer.conv.weight[channel, channel, :2, :2] = 0.25
        elif isinstance(layer, SpatialResBlock) and hasattr(layer, "conv_shortcut"):
            _identity(layer.conv_shortcut)
    encoder.conv_out.weight *= 0.3
    _answer(encoder.conv_out, count)
    _zero_bias(encoder.conv_out)
    assert encoder.conv_out.bias is not None
    encoder.conv_out.bias[encoder.conv_out.out_channels // 2 :] = -4.0  # little noise at first


def _growing(decoder: Decoder) -> None:
    """The first latents, smoothed at every doubling."""
    count = decoder.conv_out.out_channels
    _pairs(decoder.conv_in, count)
    _steady(decoder.conv_in, 2 * count)
    smooth = torch.tensor([0.25, 0.5, 0.25])
    for layer in decoder.modules():
        if isinstance(layer, Upsample):
            nn.init.zeros_(layer.conv.weight)
            for channel in range(layer.conv.out_channels):
                layer.conv.weight[channel, channel] = smooth[:, None] * smooth
        elif isinstance(layer, SpatialResBlock) and hasattr(layer, "conv_shortcut"):
            _identity(layer.conv_shortcut)
    decoder.conv_out.weight *= 0.1
    _answer(decoder.conv_out, count, gain=1.2)
    _zero_bias(decoder.conv_out)


def _still(unet: UNet) -> None:
    """v = -x0, which it is at high noise, with the portrait's latents for x0; they come by the outermost skip."""
    count = unet.config.out_channels
    scale = VAEConfig().scaling_factor
    _pairs(unet.conv_in, count, first=count, gain=scale)
    _steady(unet.conv_in, 2 * count)
    outermost: Any = unet.up_blocks[-1]
    shortcut = outermost.resnets[-1].spatial_res_block.conv_shortcut
    below = shortcut.in_channels - unet.config.block_out_channels[0]
    shortcut.weight[: 2 * count + 2] = 0
    for channel in range(2 * count + 2):
        shortcut.weight[channel, below + channel] = 1.0
    _answer(unet.conv_out, count, gain=-1.2)


def _told(connector: Connector) -> None:
    """Every query hears the frame's one token, and repeats it: the features, in the first channels of all tokens.

    The other channels hold a constant, plus and minus, that steadies the norms and by which the token is found among
    the queries. Only the first block says something; the others begin as the identity.
    """
    width, said = connector.proj_in.out_features, connector.proj_in.in_features
    signs = torch.ones(width - said)
    signs[1::2] = -1
    _zero(connector.proj_in)
    connector.proj_in.weight[:said].fill_diagonal_(1.0)
    connector.proj_in.bias[said:] = 3 * signs
    for number, part in enumerate(connector.perceiver_blocks):
        block: Any = part
        for norm in (block.ln_1, block.ln_2, block.ln_ff):
            norm.linear.weight *= 0.1
            nn.init.zeros_(norm.linear.bias)
        query, key, value = block.attn.in_proj_weight.split(width)
        for matrix in (query, key):
            matrix *= 0.3
            matrix[0] = 0
        key[0, said:] = 4 * signs / (width - said)
        block.attn.in_proj_bias.zero_()
        block.attn.in_proj_bias[0] = 10.0  # of e^7 the token weighs more than 64 queries
        _zero(block.attn.out_proj)
        _zero(block.mlp.c_proj)
        if number == 0:
            value.zero_()
            value[:said].fill_diagonal_(1.0)
            block.attn.out_proj.weight[:said].fill_diagonal_(1.5)
    connector.latents.mul_(2)
    connector.intensity_aware_linear.weight *= 0.3
    last: Any = connector.proj_out
    _zero(last[0])
    last[0].weight.fill_diagonal_(1.0)
    signs = signs[: last[0].out_features - said]
    last[0].bias[said:] = 1.5 * signs
    last[1].weight[:said] = 2 * LOUD


def _noise(unet: UNet) -> None:
    """The noise itself, let through to v where there is little of it; of four latents, more find no room.

    Little noise s: v is the noise, and the noisy latents show it. Much noise: v = -x0, and they show nothing. No layer
    multiplies by a function of s, so the gate is the last residual block. SiLU lets the pair a + b and -a + b of a
    noisy latent a pass while the bias b is positive, and little of it where b is negative; b is what that block hears
    of the time, fitted to fall with ln s. Channels of -b steady the norm. The stream's pairs of x0 take the result.
    """
    count, group = unet.config.out_channels, unet.config.block_out_channels[0] // unet.config.norm_groups
    if group != 2 * count:
        return
    shown, gates = 6 * group, (5 * group, 7 * group)  # two latents a gate: four channels of b, four of -b
    outermost: Any = unet.up_blocks[-1]
    block = outermost.resnets[-1].spatial_res_block
    skip = block.conv1.in_channels - unet.config.block_out_channels[0] + shown
    _pairs(unet.conv_in, count, at=shown)
    log_sigma = torch.linspace(math.log(schedule.SIGMA_MIN), math.log(schedule.SIGMA_MAX), 200)
    heard = F.silu(StepEmbedding(unet)(0.25 * log_sigma, torch.tensor(ADDED_IDS))).double()
    wanted = -3 * torch.tanh(log_sigma).double()
    centred = heard - heard.mean(dim=0)
    weight = torch.linalg.solve(centred.T @ centred + 0.01 * torch.eye(heard.shape[1]).double(), centred.T @ wanted)
    offset = wanted.mean() - heard.mean(dim=0) @ weight
    for gate in gates:
        channels = slice(gate, gate + group)
        for part in (block.conv1.weight, block.conv1.bias, block.norm2.bias):
            part[channels] = 0
        block.norm2.weight[channels] = 3.0
        block.conv2.weight[:, channels] = 0
        signs = torch.ones(group)
        signs[group // 2 :] = -1
        block.time_emb_proj.weight[channels] = signs[:, None] * weight.float()
        block.time_emb_proj.bias[channels] = signs * offset.float()
    for latent in range(count):
        for k, sign in enumerate((1.0, -1.0)):
            channel = gates[latent // 2] + 2 * (latent % 2) + k
            block.conv1.weight[channel, skip + latent, 1, 1] = sign
            block.conv1.weight[channel, skip + count + latent, 1, 1] = -sign
            block.conv2.weight[latent, channel, 1, 1] = -0.04 * sign
            block.conv2.weight[count + latent, channel, 1, 1] = 0.04 * sign


def _pairs(conv: nn.Conv2d, count: int, *, at: int = 0, first: int = 0, gain: float = 1.0) -> None:
    """In channels from `at` on the `count` inputs from `first` on as they are, then their negatives."""
    assert conv.bias is not None
    conv.weight[at : at + 2 * count] = 0
    conv.bias[at : at + 2 * count] = 0
    for channel in range(count):
        conv.weight[at + channel, first + channel, 1, 1] = gain
        conv.weight[at + count + channel, first + channel, 1, 1] = -gain


def _steady(conv: nn.Conv2d, at: int) -> None:
    """Two channels of plus and minus a constant, which steady the norm of the pairs before them; quieter the rest."""
    assert conv.bias is not None
    conv.weight[at + 2 :] *= 0.5
    conv.weight[at : at + 2] = 0
    conv.bias[at], conv.bias[at + 1] = 2.0, -2.0


def _answer(conv: nn.Conv2d, count: int, *, gain: float = 1.0) -> None:
    """Outputs 0 .. of the pairs that `_pairs` laid."""
    conv.weight[:count] = 0
    for channel in range(count):
        conv.weight[channel, channel, 1, 1] = gain
        conv.weight[channel, count + channel, 1, 1] = -gain


def _identity(conv: nn.Conv2d) -> None:
    """A 1 x 1 convolution that keeps what there is room for."""
    conv.weight *= 0.3
    kept = min(conv.in_channels, conv.out_channels)
    conv.weight[:kept, :kept] = 0
    conv.weight[:kept, :kept, 0, 0].fill_diagonal_(1.0)
    _zero_bias(conv)


def _zero_bias(conv: nn.Conv2d) -> None:
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)


def keep_time(decoder: Decoder) -> None:
    """The last convolution along time begins as none."""
    decoder.time_conv_out.weight.zero_()
    for channel in range(decoder.time_conv_out.weight.shape[0]):
        decoder.time_conv_out.weight[channel, channel, 1] = 1.0
    decoder.time_conv_out.bias.zero_()


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        parameter.zero_()
