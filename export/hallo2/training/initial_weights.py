"""Where training starts from: pocket's blocks, and on top of them a plain answer, the last motion frame that stays.

A network as small as `talk_pocket` on a few processor cores would learn for hours to show the person at all. What is
laid by hand and by least squares, in seconds, is the rest of the way: the motion module of the first and of the last
place copies from the last motion frame. In the first place it copies what pocket's stem saw of the portrait, whose
blocks behind then find what they know; in the last one the latents themselves, which the last convolution, fitted to
drawn clips, turns into v. What sound does begins as nothing, as published.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.blocks import sinusoids
from export.hallo2.networks.config import Place
from export.hallo2.networks.denoising_unet import DenoisingUNet
from export.hallo2.networks.face_locator import FaceLocator
from export.hallo2.networks.speech_encoder import WeightNormConv
from export.hallo2.networks.transformers import (
    AudioTransformer,
    SpatialTransformer,
    TemporalTransformer,
)
from export.hallo2.training.talker import Talker, Told
from export.hallo2.training.warm_start import State, warm_unet
from runtime.hallo2 import ddim

_LOUDEST = 6.5  # ln sigma: pure noise has none, and pocket's schedule ends there
_POCKET_IDS = (12.5, 0.0, 0.0)  # what pocket was told beside the time, always
# Channels of a motion module that copies: by the first it finds a frame, in the next ones it sees, in those behind it
# says, and the last one is constant.
_FIND, _SAY = 8, 12
_SHARP = 60.0  # how much more the last motion frame weighs than others, before the softmax
_RIDGE = 1e-3


@torch.no_grad()
def with_initial_weights(module: nn.Module) -> nn.Module:
    """`module`, on a real device, with every parameter at its initial value: PyTorch's own, branches that say nothing
    yet ending in zeros."""
    for part in module.modules():
        if isinstance(part, DenoisingUNet) and part.config.moods:
            part.mood_tokens.normal_()  # as large as the image tokens, which are normalised
        elif isinstance(part, WeightNormConv):
            part.weight_v.normal_()
            size = part.weight_v[..., 0].numel() * part.kernel / part.weight_v.shape[0]
            part.weight_g.copy_(part.weight_v.square().sum(dim=(0, 1), keepdim=True).sqrt() / size**0.5)
        elif isinstance(part, AudioTransformer | TemporalTransformer):
            _zero(part.proj_out)
        elif isinstance(part, SpatialTransformer):
            block: Any = part.transformer_blocks[0]
            _zero(block.attn2.to_out[0])
        elif isinstance(part, FaceLocator):
            _zero(part.conv_out)
    return module


@torch.no_grad()
def with_plain_answer(talker: Talker, pocket: State, told: Sequence[Told], targets: Sequence[Tensor]) -> None:
    """Let both nets begin with pocket's UNet, and answer with the last motion frame.

    `told` and `targets`, latents (F, 4, h, w): clips to fit to.
    """
    reference, denoiser = talker.reference, talker.denoiser
    config = denoiser.config
    scaling = 0.18215  # pocket's portrait is not scaled
    reference.load_state_dict(warm_unet(reference.state_dict(), pocket, config, portrait=1 / scaling))
    denoiser.load_state_dict(warm_unet(denoiser.state_dict(), pocket, config))
    for net in (reference, denoiser):
        with_initial_ends(net)
        _fit_time(net.time_embedding, config.channels[0], pocket)
    portraits = torch.cat([clip.portrait for clip in told])
    tokens = talker.projection(torch.zeros(len(portraits), told[0].identity.shape[1]))
    banks = reference(portraits, tokens)
    assert reference.conv_in.bias is not None
    shown = reference.conv_in(portraits) - reference.conv_in.bias[:, None, None]
    pairs = torch.zeros_like(shown)
    count = config.latent_channels
    pairs[:, :count], pairs[:, count : 2 * count] = portraits, -portraits
    for place, said in ((config.places[0], shown), (config.places[-1], pairs)):
        bank = banks[place.bank][place.index]
        _copy(_module(talker, place), bank, said.flatten(2).transpose(1, 2), frame=len(told[0].motion) - 1)
    _fit_answer(talker, told, targets)


def with_initial_ends(net: nn.Module) -> None:
    """Pocket's image tokens are other ones: nothing is heard of ours at first."""
    for part in net.modules():
        if isinstance(part, SpatialTransformer):
            block: Any = part.transformer_blocks[0]
            _zero(block.attn2.to_out[0])


def _fit_time(embedding: Any, width: int, pocket: State) -> None:
    """The last layer of a time embedding: what pocket's says of the same share of noise, by least squares."""
    share = torch.from_numpy(ddim.alphas_cumprod()).float()
    log_sigma = (0.5 * torch.log((1 - share) / share)).clamp(max=_LOUDEST)
    ids = sinusoids(torch.tensor(_POCKET_IDS), pocket["add_embedding.linear_1.weight"].shape[1] // 3).reshape(1, -1)
    wanted = _mlp(pocket, "time_embedding", sinusoids(0.25 * log_sigma, width)) + _mlp(pocket, "add_embedding", ids)
    hidden = F.silu(embedding.linear_1(sinusoids(torch.arange(len(share)), width)))
    matrix, offset = _least_squares(hidden, wanted)
    embedding.linear_2.weight.copy_(matrix.T)
    embedding.linear_2.bias.copy_(offset)


def _mlp(state: State, name: str, x: Tensor) -> Tensor:
    hidden = F.silu(F.linear(x, state[f"{name}.linear_1.weight"], state[f"{name}.linear_1.bias"]))
    return F.linear(hidden, state[f"{name}.linear_2.weight"], state[f"{name}.linear_2.bias"])


def _module(talker: Talker, place: Place) -> TemporalTransformer:
    modules: Any = talker.denoiser.get_submodule(place.block)
    return modules.motion_modules[place.layer].temporal_transformer


def _copy(module: TemporalTransformer, bank: Tensor, said: Tensor, *, frame: int) -> None:
    """Let a motion module add `said` (N, L, C) to the clip where its motion frame `frame` has `bank` (N, L, C)."""
    width = bank.shape[2]
    see, say = slice(_FIND, width - _SAY - 1), slice(width - _SAY - 1, width - 1)
    block: Any = module.transformer_blocks[0]
    first, last = block.attention_blocks
    for part in (module.proj_in, module.proj_out, first.to_out[0], last.to_out[0], block.ff.net[2]):
        _zero(part)
    for matrix in (last.to_q.weight, last.to_k.weight, last.to_v.weight):
        matrix.zero_()
    normed = module.norm(bank.transpose(1, 2)).transpose(1, 2).reshape(-1, width)
    # What says most of the bank is seen.
    centred = normed - normed.mean(dim=0)
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -(see.stop - see.start) :]
    module.proj_in.weight[see] = axes.T
    norm = block.norms[1]
    norm.weight.zero_()
    norm.bias.zero_()
    norm.weight[see] = 1.0
    norm.bias[-1] = 1.0
    # The frame is found by its place: a sum of cosines is largest there.
    table = last.pos_encoder.pe[0]
    last.to_q.weight[0, -1] = 1.0 / (1.0 + float(table[frame, -1]))
    last.to_k.weight[0, :_FIND] = _SHARP * table[frame, :_FIND]
    # What is to be said, from what is seen, as well as so few numbers can.
    seen = norm(module.proj_in(normed))
    matrix, offset = _least_squares(seen[:, see], said.reshape(-1, width))
    predicted = seen[:, see] @ matrix
    directions = torch.linalg.svd(predicted - predicted.mean(dim=0), full_matrices=False).Vh[:_SAY]
    last.to_v.weight[say, see] = directions @ matrix.T
    last.to_out[0].weight[say, say] = torch.eye(_SAY)
    # The table stands in what is seen, too.
    heard = table[frame, see] @ matrix @ directions.T
    last.to_out[0].bias[say] = -heard
    module.proj_out.weight[:, say] = directions.T
    module.proj_out.bias.copy_(offset)


def _fit_answer(talker: Talker, told: Sequence[Told], targets: Sequence[Tensor]) -> None:
    """The last convolution: v of these clips, by least squares over its nine cells."""
    denoiser, shares = talker.denoiser, torch.from_numpy(ddim.alphas_cumprod()).float()
    generator = torch.Generator().manual_seed(0)
    gram: Any = 0
    moment: Any = 0
    with _given(denoiser.conv_out) as given:
        for number, (clip, target) in enumerate(zip(told, targets, strict=True)):
            step = 999 if number % 2 else int(torch.randint(1000, (1,), generator=generator))
            noise = torch.randn(target.shape, generator=generator)
            noisy = shares[step].sqrt() * target + (1 - shares[step]).sqrt() * noise
            wanted = shares[step].sqrt() * noise - (1 - shares[step]).sqrt() * target
            talker.velocity(noisy, torch.tensor([step]), talker.conditions(clip))
            patches = F.unfold(given[-1], 3, padding=1).transpose(1, 2).flatten(0, 1).double()
            patches = torch.cat([patches, torch.ones(len(patches), 1).double()], dim=1)
            gram = gram + patches.T @ patches
            moment = moment + patches.T @ wanted.flatten(2).transpose(1, 2).flatten(0, 1).double()
    gram += _RIDGE * gram.diagonal().mean() * torch.eye(len(gram)).double()
    solved = torch.linalg.solve(gram, moment).float()
    denoiser.conv_out.weight.copy_(solved[:-1].T.reshape(denoiser.conv_out.weight.shape))
    assert denoiser.conv_out.bias is not None
    denoiser.conv_out.bias.copy_(solved[-1])


@contextmanager
def _given(module: nn.Module) -> Iterator[list[Tensor]]:
    """What `module` is given inside, call after call."""
    calls: list[Tensor] = []
    hook = module.register_forward_pre_hook(lambda _, inputs: calls.append(inputs[0]))
    try:
        yield calls
    finally:
        hook.remove()


def _least_squares(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(n, a), (n, b) -> matrix (a, b) and offset (b,) of the best x matrix + offset, a little drawn to zero."""
    x, y = x.double(), y.double()
    mean_x, mean_y = x.mean(dim=0), y.mean(dim=0)
    gram = (x - mean_x).T @ (x - mean_x)
    gram += _RIDGE * gram.diagonal().mean() * torch.eye(len(gram)).double()
    matrix = torch.linalg.solve(gram, (x - mean_x).T @ (y - mean_y))
    return matrix.float(), (mean_y - mean_x @ matrix).float()


def _zero(layer: Any) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
