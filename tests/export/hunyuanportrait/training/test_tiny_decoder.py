"""What the tiny decoder is shown: the very frames of its latents, and the full decoder's."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from export.hunyuanportrait.training.tiny_decoder import TinyDecoderPhase, psnr


class Grey:
    """Clips whose frame k of clip i is of one grey, 40 i + k of 255."""

    def load(self, number):
        levels = (40 * number + np.arange(12)).astype(np.uint8)
        return SimpleNamespace(pictures=np.broadcast_to(levels[:, None, None, None], (12, 16, 16, 3)))


class Plain(nn.Module):
    """Latents that say the grey are decoded to it."""

    def forward(self, latents):
        return latents[:, :1].expand(-1, 3, -1, -1)


def grey(number, frames, more=0.0):
    levels = 2 * (40 * number + np.arange(frames)) / 255 - 1 + more
    return np.broadcast_to(levels[:, None, None, None], (frames, 4, 16, 16)).astype(np.float16)


def phase(more=0.0):
    pictures = [Grey().load(i).pictures[:9] for i in (3, 5)]
    return TinyDecoderPhase(
        Plain(),
        clips=Grey(),
        latents=[grey(i, 12) for i in (3, 5, 1)],
        made=[grey(i, 10) for i in (3, 5)],  # of the first clips alone, and of their first frames
        decoded=[np.clip(p.astype(int) + round(more * 127.5), 0, 255).astype(np.uint8) for p in pictures],
        numbers=[3, 5, 1],
        steps=10,
        device=torch.device("cpu"),
    )


def test_every_chunk_is_compared_with_its_own_frames():
    learns, kinds = phase(), set()
    for seed in range(40):
        losses = learns.loss(0, np.random.default_rng(seed))
        assert losses["loss"].item() < 1e-6  # half precision; a frame beside would be 6e-5
        kinds |= set(losses)
    assert kinds == set(learns.curves)


def test_what_was_made_is_to_be_half_the_full_decoders_and_half_the_truth():
    learns = phase(more=-0.2)
    losses = next(x for x in (learns.loss(0, np.random.default_rng(s)) for s in range(40)) if "psnr_decoder" in x)
    assert losses["loss"].item() == pytest.approx(0.01, rel=0.1)  # whole levels of grey
    assert losses["psnr_decoder"].item() == pytest.approx(20, abs=0.4)


def test_decibels_are_of_frames_from_minus_one_to_one():
    assert psnr(torch.zeros(5), torch.full((5,), 0.2)).item() == pytest.approx(20)
