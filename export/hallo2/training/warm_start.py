"""What `talk_pocket` takes over from pocket's weights, which come with the package: all that has the same shape.

Both presets have Stable Diffusion's blocks, and equally wide ones. What pocket has along time is left behind, and so is
what it is told its motion with; what it does in a single picture keeps its place:

- the autoencoder's encoder as it is, so both models speak of the same latents, and the decoder's blocks in space;
- the UNet's residual blocks and spatial transformers, for both nets. The denoising net sees what pocket's sees of the
  noisy latents, the reference net what it sees of the portrait's.

Keys are the published ones of both models.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from engines.errors import CheckpointError
from export.hallo2.networks.config import UNetConfig
from export.weights.checkpoints import read_checkpoint
from hp_trt.shipped import POCKET

State = Mapping[str, Tensor]
_SPATIAL = ".spatial_res_block"


def pocket_states(networks: tuple[str, ...]) -> dict[str, State]:
    """Pocket's parameters in float32, by network and key. Raises CheckpointError for a package that has lost them."""
    found: dict[str, dict[str, Tensor]] = {network: {} for network in networks}
    for name, tensor in read_checkpoint(POCKET).items():
        network, _, key = name.partition("/")
        if network in found:
            found[network][key] = tensor.float() if tensor.is_floating_point() else tensor
    if missing := [network for network, state in found.items() if not state]:
        raise CheckpointError(f"{POCKET} has no {' and '.join(missing)}; install hp-trt again")
    return dict(found)


def in_space(state: State) -> State:
    """Of a state dict of blocks in space and time those in space, as networks name them that have no time."""
    return {key.replace(_SPATIAL, ""): value for key, value in state.items()}


def warm_vae(own: State, pocket: State) -> dict[str, Tensor]:
    """`own`, the autoencoder's state dict, with pocket's parameters. What pocket has none of passes latents on."""
    known = in_space(pocket)
    made = {key: _fitting(known, key, value) for key, value in own.items()}
    made["post_quant_conv.weight"] = torch.eye(own["post_quant_conv.weight"].shape[0])[:, :, None, None]
    made["post_quant_conv.bias"] = torch.zeros_like(own["post_quant_conv.bias"])
    return made


def warm_unet(own: State, pocket: State, config: UNetConfig, *, portrait: float | None = None) -> dict[str, Tensor]:
    """`own`, a UNet's state dict, with pocket's parameters where there are such.

    Pocket's stem sees the noisy latents and beside them the portrait's. `portrait`: take what sees those, so many times
    as loud; None: what sees the noisy ones.
    """
    known = dict(in_space(pocket))
    count = config.latent_channels
    noisy, beside = known["conv_in.weight"].split(count, dim=1)
    known["conv_in.weight"] = noisy if portrait is None else beside * portrait
    return {key: _fitting(known, key, value) for key, value in own.items()}


def _fitting(known: State, key: str, own: Tensor) -> Tensor:
    """The parameter of this key, a matrix as a 1 x 1 convolution where that is wanted; our own where there is none."""
    found = known.get(key)
    if found is None or found.numel() != own.numel() or key.startswith("time_embedding"):
        return own
    return found.reshape(own.shape)
