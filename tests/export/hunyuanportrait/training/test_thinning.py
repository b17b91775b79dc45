"""Which layers a UNet of fewer layers begins with."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from export.hunyuanportrait.networks.unet import Context, UNet
from export.hunyuanportrait.presets import HUNYUANPORTRAIT, POCKET
from export.hunyuanportrait.training.thinning import thinned
from export.weights.random import random_state_dict
from tests.export.tiny import TINY

ONE = TINY.architecture.unet  # a layer a level
THREE = ONE.thinner((3, 2))


def state(config):
    return random_state_dict(UNet(config), "thin/")


def test_the_first_layers_and_on_the_way_up_the_last_too_are_kept():
    whole = state(THREE)
    made = thinned(whole, THREE, THREE.thinner((2, 1)))
    # From the finest level down: 3 layers and 4 on the way up, of which 2 and 3 are left; then 2 and 3, 1 and 2 left.
    came_from = {
        "down_blocks.0.resnets.1": "down_blocks.0.resnets.1",
        "up_blocks.1.resnets.1": "up_blocks.1.resnets.1",
        "up_blocks.1.resnets.2": "up_blocks.1.resnets.3",
        "up_blocks.0.resnets.1": "up_blocks.0.resnets.2",
        "mid_block.resnets.1": "mid_block.resnets.1",
    }
    for new, old in came_from.items():
        weight = "temporal_res_block.conv1.weight"
        assert torch.equal(made[f"{new}.{weight}"], whole[f"{old}.{weight}"]), new
    assert torch.equal(
        made["up_blocks.1.attentions.2.proj_in.weight"], whole["up_blocks.1.attentions.3.proj_in.weight"]
    )


@pytest.mark.parametrize(
    ("of", "to"),
    [
        (THREE, ONE),
        (THREE, THREE),
        (POCKET.architecture.unet, POCKET.architecture.live_unet),
        (HUNYUANPORTRAIT.architecture.unet, HUNYUANPORTRAIT.architecture.unet.thinner((1, 2, 1, 1))),
    ],
)
def test_what_is_kept_is_all_that_the_thinner_one_has(of, to):
    with torch.device("meta"):
        known, wanted = UNet(of).state_dict(), UNet(to).state_dict()
    made = thinned(known, of, to)
    assert {k: v.shape for k, v in made.items()} == {k: v.shape for k, v in wanted.items()}


@torch.no_grad()
def test_layers_that_do_nothing_can_be_left_out():
    """A middle layer on the way down whose sums add nothing gives its input again: without it, and without the layer
    on the way up that asks for its skip, the rest is the same network."""
    torch.manual_seed(0)
    of, to = ONE.thinner((2, 1)), ONE
    whole = UNet(of).eval()
    whole.load_state_dict(state(of))
    idle_down, idle_up = whole.down_blocks[0], whole.up_blocks[1]
    for level in (idle_down, idle_up):
        for part in (level.resnets[1], level.attentions[1]):
            for name, parameter in part.named_parameters():
                if name.endswith(("conv2.weight", "conv2.bias", "proj_out.weight", "proj_out.bias")):
                    parameter.zero_()
    # The layer on the way up has a shortcut of its own, from twice the width: of it the half that comes from below.
    shortcut = idle_up.resnets[1].spatial_res_block.conv_shortcut
    width = shortcut.weight.shape[0]
    shortcut.weight.copy_(torch.cat([torch.eye(width), torch.zeros(width, width)], dim=1)[..., None, None])
    shortcut.bias.zero_()
    thin = UNet(to).eval()
    thin.load_state_dict(thinned(whole.state_dict(), of, to))
    sample = torch.randn(3, 8, 8, 8)
    context = Context(torch.randn(1, 4, 32), torch.randn(1, 3, 4, 32))
    step = torch.randn(1, of.embedding_dim)
    # Norms and products of the same numbers in the same order.
    torch.testing.assert_close(thin(sample, step, context, 3), whole(sample, step, context, 3))


@pytest.mark.parametrize("to", [THREE, replace(ONE, norm_groups=4)])
def test_layers_alone_are_left_out_and_none_is_new(to):
    with pytest.raises(ValueError, match="by its layers alone, and gets no new ones"):
        thinned(state(ONE), ONE, to)
