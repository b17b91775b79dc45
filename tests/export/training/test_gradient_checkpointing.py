"""Blocks that are computed twice: the same numbers, less kept, and nothing left behind."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import pytest
import torch

from export.hunyuanportrait.networks.unet import Context
from export.hunyuanportrait.training.denoiser import Conditions, computing
from export.hunyuanportrait.training.student import BLOCKS
from export.training.gradient_checkpointing import checkpointed
from export.weights.random import random_state_dict
from tests.export.hunyuanportrait.training.phases import phase_without_clips
from tests.export.tiny import TINY

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def unet():
    made = TINY.architecture.build("unet", device="cpu")
    made.load_state_dict(random_state_dict(made))
    return made


def gradients(unet, half: bool, *, again: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
    """The output, every parameter's gradient, and how many numbers were kept for the backward pass."""
    torch.manual_seed(0)
    width, kept = TINY.architecture.unet.cross_attention_dim, []
    context = Context(torch.randn(2, 3, width), torch.randn(2, 5, 4, width))
    sample, embedding = torch.randn(10, 8, 8, 8), torch.randn(2, TINY.architecture.unet.embedding_dim)
    unet.zero_grad()

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        checkpointed(unet, BLOCKS, partial(computing, CPU)) if again else nullcontext(),
        torch.autocast("cpu", torch.bfloat16, enabled=half),
        computing(CPU),
    ):
        made = unet(sample, embedding, context, 5)
    made.float().square().mean().backward()
    learnt = {name: p.grad.clone() for name, p in unet.named_parameters() if p.grad is not None}
    return made.detach(), learnt, sum(kept)


@pytest.mark.parametrize("half", [False, True])
def test_gradients_are_the_same_with_checkpointing_and_less_is_kept(unet, half):
    """The same operations on the same numbers: what differs is only how a CPU's threads add up, a few last digits."""
    plain, wanted, much = gradients(unet, half, again=False)
    made, found, little = gradients(unet, half, again=True)
    assert torch.equal(made, plain) and found.keys() == wanted.keys() and len(found) > 100
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6 * float(gradient.abs().max()) + 1e-12)
    assert little < much / 3


def test_blocks_are_as_before_once_it_is_over(unet):
    with pytest.raises(KeyboardInterrupt), checkpointed(unet, BLOCKS):
        raise KeyboardInterrupt
    assert not any("forward" in module.__dict__ for module in unet.modules())


def test_everything_is_made_on_the_networks_device_in_the_backward_pass_too():
    """On the meta device, which as any other device does not mix with the CPU."""
    meta = torch.device("meta")
    modules = {name: TINY.architecture.build(name).requires_grad_(True) for name in ("unet", "motion_refiner")}
    phase = phase_without_clips(modules, meta)
    width = TINY.architecture.unet.cross_attention_dim
    with meta:
        told = Conditions(
            tokens=torch.empty(2, 3, width), motion=torch.empty(2, 5, 4, width), latents=torch.empty(2, 4, 8, 8)
        )
        noisy, sigma = torch.empty(2, 5, 4, 8, 8), torch.empty(2, 1)
    with checkpointed(modules["unet"], BLOCKS, partial(computing, meta)):
        made = phase.velocity(modules["unet"], noisy, sigma, told)
    made.square().mean().backward()
    assert made.device == meta and modules["unet"].conv_in.weight.grad.device == meta
