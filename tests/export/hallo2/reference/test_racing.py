"""The released program as a bench calls it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from export.hallo2.reference.chain import Options, run_chain
from export.hallo2.reference.racing import Given, ReleasedProgram
from export.hallo2.reference.weights import BUILDERS, PREFIXES, build_network, random_networks
from export.weights.random import random_state_dict
from runtime.hallo2.presets import MOODS, NEUTRAL

UNET = {
    "channels": (32, 32),
    "heads": 2,
    "layers_per_block": 1,
    "image_token_dim": 8,
    "audio_token_dim": 8,
    "groups": 32,
    "motion_heads": 2,
    "motion_positions": 8,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "reference_unet": UNET,
    "denoising_unet": UNET,
    "face_locator": {"out_channels": 32, "block_out_channels": (4, 4, 4, 4)},
    "imageproj": {"embedding": 16, "tokens": 2, "width": 8},
    "audioproj": {"window": 5, "layers": 2, "channels": 8, "hidden": 8, "width": 8, "tokens": 3},
    "vae": {
        "channels": (32, 32, 32, 32),
        "layers_per_block": 1,
        "groups": 32,
        "latent_channels": 4,
        "scaling_factor": 0.18215,
    },
    "speech_encoder": {
        "hidden": 8, "layers": 2, "heads": 2, "mlp": 16, "conv_dim": 8, "pos_kernel": 4, "pos_groups": 2,
    },
}  # fmt: skip
OPTIONS = Options(frames_per_clip=2, motion_frames=1, num_inference_steps=2, guidance_scale=2.0)
CLIPS, SIDE = 2, 32


class Rule:
    """The random rule as a source of weights."""

    kind, source = "random", "the random rule"

    def fingerprint(self, network: str) -> str:
        return network

    def state(self, network: str) -> dict[str, torch.Tensor]:
        return random_state_dict(build_network(network, CONFIGS[network]), PREFIXES[network])


def given() -> Given:
    random = np.random.RandomState(0)
    cells = [(SIDE // 8) ** 2, (SIDE // 16) ** 2]
    return Given(
        source_picture=random.uniform(-1, 1, (3, SIDE, SIDE)).astype(np.float32),
        face_region=np.ones((3, SIDE, SIDE), np.float32),
        embedding=random.standard_normal(16).astype(np.float32),
        audio_features=random.standard_normal((CLIPS * 2, 2, 8)).astype(np.float32),
        masks={name: [np.ones(count, np.float32) for count in cells] for name in ("full", "face", "lip")},
        noise=random.standard_normal((CLIPS, 4, 2, SIDE // 8, SIDE // 8)).astype(np.float32),
        fields=random.random_sample((CLIPS, SIDE, SIDE)).astype(np.float32),
    )


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_race_runs_every_clip_with_the_weights_of_its_source(threads):
    program, made_of = ReleasedProgram(CONFIGS, Rule(), threads=1), given()
    made = program(made_of, OPTIONS)
    assert program.threads == torch.get_num_threads() == 1
    assert made.latents.shape == (CLIPS, 4, 2, SIDE // 8, SIDE // 8)
    assert made.seconds > 0
    plain = run_chain(
        random_networks(CONFIGS),
        OPTIONS,
        masks={name: [torch.from_numpy(mask) for mask in masks] for name, masks in made_of.masks.items()},
        **{name: torch.from_numpy(value) for name, value in vars(made_of).items() if name != "masks"},
    )
    np.testing.assert_array_equal(made.frames, plain.frames.numpy())


def test_a_net_that_knows_moods_is_neutral_where_nobody_asks_for_one():
    configs = {**CONFIGS, "denoising_unet": {**UNET, "moods": len(MOODS)}}
    networks, made_of = random_networks(configs), given()
    masks = {name: [torch.from_numpy(mask) for mask in found] for name, found in made_of.masks.items()}
    arrays = {name: torch.from_numpy(value) for name, value in vars(made_of).items() if name != "masks"}

    def frames(mood: tuple[float, ...] | None) -> torch.Tensor:
        return run_chain(networks, replace(OPTIONS, mood=mood), masks=masks, **arrays).frames

    assert torch.equal(frames(None), frames(NEUTRAL))
    assert (frames((0.0,) * len(MOODS)) - frames(None)).abs().max() > 1e-4


def test_features_shorter_than_a_clip_say_what_to_do(threads):
    program = ReleasedProgram({name: CONFIGS[name] for name in BUILDERS}, Rule(), threads=1)
    short = Given(**{**vars(given()), "audio_features": np.zeros((1, 2, 8), np.float32)})
    with pytest.raises(ValueError, match="have 1 frames and a clip has 2; pad the track"):
        program(short, OPTIONS)
