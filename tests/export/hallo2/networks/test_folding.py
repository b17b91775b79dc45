from __future__ import annotations

import torch

from export.hallo2.networks.config import UNetConfig
from export.hallo2.networks.denoising_unet import DenoisingUNet
from export.hallo2.networks.reference_unet import ReferenceUNet
from export.weights.random import load_random

CONFIG = UNetConfig(
    channels=(32, 64), heads=2, layers_per_block=1, image_token_dim=24, audio_token_dim=20, groups=8, motion_heads=4
)


def storages(net: torch.nn.Module) -> dict[int, int]:
    """Bytes of every storage that the net's weights lie in."""
    kept = (tensor.untyped_storage() for tensor in (*net.parameters(), *net.buffers()))
    return {storage.data_ptr(): storage.nbytes() for storage in kept}


def test_a_folded_net_leaves_the_one_it_is_made_of_as_it_was():
    net = load_random(DenoisingUNet(CONFIG))
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    net.folded().half()
    after = net.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())


def test_a_folded_net_takes_memory_for_the_products_of_its_audio_attentions_alone():
    net = load_random(DenoisingUNet(CONFIG))
    own = {at: size for at, size in storages(net.folded()).items() if at not in storages(net)}
    widths = [(place.audio_channels, CONFIG.audio_token_dim) for place in CONFIG.places]
    products = sum(4 * (3 * w * w + 2 * 3 * w * tokens + 3 * w * w + 6 * w) for w, tokens in widths)
    assert sum(own.values()) == products


def test_the_folded_reference_net_knows_its_time():
    net = load_random(ReferenceUNet(CONFIG))
    folded = net.folded()
    assert not any("time" in key or "shift" in key for key in folded.state_dict())
    shift = net.step_shift()
    assert shift is not None and folded.step_shift() is None
    block, made = net.mid_block.resnets[1], folded.mid_block.resnets[1]
    x = torch.randn(2, 64, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(made(x), block(x, shift), atol=1e-5)  # of numbers up to 5, in float32
