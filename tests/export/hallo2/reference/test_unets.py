"""The way that the released program takes through its denoising net."""

from __future__ import annotations

import pytest
import torch

from export.hallo2.networks.config import UNetConfig
from export.hallo2.reference.unets import MASKS, Conditions, DenoisingUNet, reference_banks
from export.hallo2.reference.weights import random_network

CONFIG = {
    "channels": (32, 32),
    "heads": 2,
    "layers_per_block": 2,
    "image_token_dim": 8,
    "audio_token_dim": 8,
    "groups": 16,
    "motion_heads": 2,
    "motion_positions": 8,
}
SIDE, FRAMES, MOTION = 4, 3, 1
LIVE = "down_blocks.0.motion_modules.0."
DEAD = [f"down_blocks.1.motion_modules.{k}." for k in range(2)] + [f"up_blocks.0.motion_modules.{k}." for k in range(3)]


@pytest.fixture
def unet() -> DenoisingUNet:
    return random_network("denoising_unet", CONFIG)


@torch.no_grad()
def velocity(unet: DenoisingUNet, **changed) -> torch.Tensor:
    config, random = UNetConfig.of(CONFIG), torch.Generator().manual_seed(0)
    given = {
        "image_tokens": torch.randn(2, 4, 8, generator=random),
        "audio_tokens": torch.randn(2, FRAMES, 5, 8, generator=random),
        "masks": {name: [torch.rand((SIDE >> i) ** 2, generator=random) for i in range(2)] for name in MASKS},
        "motion_scale": (1.0, 1.0, 1.0),
        "banks": {
            place.name: torch.randn(2 * (1 + MOTION), config.cells((SIDE, SIDE), place.bank), 32, generator=random)
            for place in config.places
        },
    }
    latents = torch.randn(1, 4, FRAMES, SIDE, SIDE, generator=random).repeat(2, 1, 1, 1, 1)
    face = torch.zeros(2, 32, FRAMES, SIDE, SIDE)
    return unet(latents, torch.tensor(500), face, Conditions(**{**given, **changed}))


def zero(unet: DenoisingUNet, prefix: str) -> None:
    entries = [value for name, value in unet.state_dict().items() if name.startswith(prefix)]
    assert entries
    for value in entries:
        value.zero_()


def test_the_motion_modules_of_blocks_without_attention_change_nothing(unet):
    before = velocity(unet)
    for prefix in DEAD:
        zero(unet, prefix)
    assert torch.equal(velocity(unet), before)


def test_a_motion_module_beside_attention_changes_the_result(unet):
    before = velocity(unet)
    zero(unet, LIVE)
    assert not torch.allclose(velocity(unet), before)


def test_training_and_evaluation_mode_go_the_same_way(unet):
    assert torch.equal(velocity(unet.train()), velocity(unet.eval()))


def test_a_frame_reads_the_reference_that_its_parity_names(unet):
    """With one motion frame the pair of references stands in rows 0 and 2, and F = 3: frames 0 and 2 read row 2."""
    place = "mid_block.attentions.0"
    seen = []
    block = unet.get_submodule(place).transformer_blocks[0]
    block.attn1.register_forward_pre_hook(lambda _m, arguments: seen.append(arguments[1]))
    bank = torch.randn(4, 4, 32, generator=torch.Generator().manual_seed(1))
    banks = {p.name: bank if p.bank == 1 else torch.zeros(4, 16, 32) for p in UNetConfig.of(CONFIG).places}
    velocity(unet, banks=banks)
    read = seen[0][FRAMES:, -4:]  # the conditional half's frames, behind their own tokens
    assert [[bool(torch.equal(frame, bank[row])) for row in (0, 2)] for frame in read] == [
        [False, True],
        [True, False],
        [False, True],
    ]


@torch.no_grad()
def test_with_an_odd_number_of_motion_frames_both_references_see_the_unconditional_tokens():
    unet, config = random_network("reference_unet", CONFIG), UNetConfig.of(CONFIG)
    latents = torch.randn(2, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).repeat(2, 1, 1, 1)
    tokens = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(1))
    bank = reference_banks(unet, config, latents, tokens)["up_blocks.1.attentions.2"]
    torch.testing.assert_close(bank[0], bank[2])
    alone = reference_banks(unet, config, latents[:1].repeat(2, 1, 1, 1), tokens)["up_blocks.1.attentions.2"]
    torch.testing.assert_close(bank[0], alone[0], rtol=1e-4, atol=1e-4)  # sums of another batch's size
    assert (bank[0] - alone[1]).abs().max() > 1e-2
