"""What the denoiser is trained on: windows as the sampler cuts them, and the published target."""

import numpy as np
import pytest
import torch

from export.hunyuanportrait.presets import POCKET
from export.hunyuanportrait.training.denoiser import (
    CONDITIONAL_ALONE,
    Conditions,
    DenoiserPhase,
    learns_pictures,
    motion_tokens,
)
from export.hunyuanportrait.training.initial_weights import with_initial_weights
from export.hunyuanportrait.training.rows import TrainingRow, ring_window
from runtime.hunyuanportrait.guidance import Row, rows_of_steps
from runtime.hunyuanportrait.padding import fade_in, fade_out
from runtime.hunyuanportrait.windows import Windows


@pytest.mark.parametrize("pad", [0, 1, 5])
def test_a_training_window_is_one_that_the_sampler_cuts(pad):
    """Truth: frame numbers as tokens through the runtime's own padding and windows, for every length and start."""
    for seed in range(60):
        frames, ramps = ring_window(np.random.default_rng(seed), clip=12, pad=pad, size=7)
        faded = ramps * (frames + 1)
        rings = []
        for length in range(3, 13):
            for first in range(12 - length + 1):
                tokens = np.arange(first, first + length, dtype=np.float32)[:, None, None] + 1
                ring = np.concatenate([fade_in(tokens[0], pad), tokens, fade_out(tokens[-1], pad)]).ravel()
                rings += [
                    ring[window]
                    for shift in range(len(ring))
                    for window in Windows(len(ring), size=7, overlap=0, shift=shift)[:1]
                ]
        assert any(np.allclose(faded, ring, atol=1e-5) for ring in rings), (seed, frames, ramps)


def test_the_target_velocity_gives_back_the_clean_latents():
    """x0 = x / (s^2 + 1) - v s / sqrt(s^2 + 1), SPEC 5; in float64, as 700^2 leaves float32 few digits."""
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 100, dtype=torch.float64)
    for sigma in (0.01, 1.0, 700.0):
        s = torch.tensor(sigma, dtype=torch.float64)
        noisy = clean + s * noise
        v = (s.square() + 1).sqrt() / s * (noisy / (s.square() + 1) - clean)
        assert torch.allclose(noisy / (s**2 + 1) - v * s / (s**2 + 1).sqrt(), clean, atol=1e-9)


def test_rows_refined_together_are_the_rows_refined_one_by_one():
    torch.manual_seed(0)
    refiner = with_initial_weights(POCKET.architecture.build("motion_refiner", device="cpu"))
    nothing = dict.fromkeys(("latents", "points", "states", "portrait"))
    rows = [
        TrainingRow(
            features=torch.randn(5, 32),
            ids=torch.tensor([row, 2 * row]),
            degrees=torch.randn(5, 3),
            ramps=torch.rand(5),
            sees=Row.CONDITIONAL,
            **nothing,
        )
        for row in range(3)
    ]
    tokens = motion_tokens(refiner, rows)
    for made, row in zip(tokens, rows, strict=True):
        alone = refiner(row.features, row.ids[:1], row.ids[1:])
        faded = alone * row.ramps[:, None, None]
        assert torch.allclose(made[..., :58], faded, atol=1e-3)  # values of about 1; products of other batch sizes
        assert torch.equal(made[:, 7, 58:61], row.degrees * row.ramps[:, None])
        assert not made[..., 61:].any()


def test_pictures_come_first_then_windows_among_them_then_windows_alone():
    steps = 1000
    pictures = np.array([learns_pictures(step, step / steps) for step in range(steps)])
    assert pictures[:500].all()
    assert pictures[500:930].mean() == pytest.approx(3 / 4, abs=0.01)  # of 430 steps
    assert not pictures[930:].any()


def test_a_guided_velocity_is_the_released_sum_and_leaves_out_rows_that_weigh_nothing():
    """v_u + g1 (v_d - v_u) + g2 (v_c - v_d), SPEC 8; of a network that says how much it is told, by magnitudes."""
    told = Conditions(tokens=torch.tensor(1.0), motion=torch.tensor(10.0), latents=torch.tensor(100.0))
    asked = []

    class Adds(DenoiserPhase):
        def __init__(self):
            pass

        def velocity(self, unet, noisy, sigma, told):
            asked.append(float(told.tokens + told.motion + told.latents))
            return torch.tensor(asked[-1] + 1000)

    def guided(guidance):
        asked.clear()
        return float(Adds().guided(None, None, None, told, guidance))

    unconditional, portrait, both = 1000, 1101, 1111
    for g1, g2 in ((2.0, 2.0), (1.5, 3.0), (1.0, 2.0)):
        wanted = unconditional + g1 * (portrait - unconditional) + g2 * (both - portrait)
        assert guided(rows_of_steps((g1, g1), (g2, g2), 1)[0]) == pytest.approx(wanted)
    assert guided(rows_of_steps((2.0, 2.0), (2.0, 2.0), 1)[0]) and asked == [0, 111]
    assert guided(CONDITIONAL_ALONE) == both and asked == [111]
