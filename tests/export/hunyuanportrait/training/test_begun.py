"""Weights of other latents, to begin with."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.errors import CheckpointError
from export.hunyuanportrait.architecture import Architecture
from export.hunyuanportrait.presets import POCKET
from export.hunyuanportrait.training.begun import begun_architecture, fitted_unet
from export.hunyuanportrait.training.clips import Clips
from export.hunyuanportrait.training.denoiser import DenoiserPhase
from export.hunyuanportrait.training.initial_weights import with_initial_weights
from export.weights.packed import channels_in, write_weights
from export.weights.source import RandomWeights


def with_latents(count: int) -> Architecture:
    one = POCKET.architecture
    return replace(
        one,
        vae=replace(one.vae, latent_channels=count),
        unet=replace(one.unet, in_channels=2 * count, out_channels=count),
    )


OLD, NEW = with_latents(4), with_latents(6)


def test_a_file_tells_how_many_channels_its_latents_have(tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, {"vae": {"decoder.conv_in.weight": torch.zeros(8, 4, 3, 3)}}, preset="pocket")
    assert begun_architecture(NEW, path) == OLD
    assert begun_architecture(OLD, path) is OLD


def test_a_file_without_latents_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, {"vae": {"decoder.conv_in.bias": torch.zeros(8)}}, preset="pocket")
    with pytest.raises(CheckpointError, match=r"has no convolution vae/decoder\.conv_in\.weight"):
        channels_in(path, "vae/decoder.conv_in.weight")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    clips = Clips(folder=tmp_path_factory.mktemp("clips"), count=2, frames=8, px=64, motion_px=16)
    list(clips.draw_missing())
    return clips


class Begun(RandomWeights):
    """Initial weights, as training begins with them."""

    def state(self, network):
        torch.manual_seed(1)
        return with_initial_weights(OLD.build(network, device="cpu")).state_dict()


def phase_of(clips: Clips, networks: dict, latents: list[np.ndarray]) -> DenoiserPhase:
    return DenoiserPhase(
        networks, clips=clips, latents=latents, features=None, numbers=[0, 1], steps=100, window=5, pad=2,
        scaling_factor=NEW.vae.scaling_factor, device=torch.device("cpu"), appearance_px=224,
    )  # fmt: skip


def test_the_fitted_unet_keeps_its_blocks_and_says_more_than_nothing_of_the_new_latents(clips, monkeypatch):
    monkeypatch.setattr("export.hunyuanportrait.training.begun._BATCHES", 12)
    torch.manual_seed(0)
    names = ("appearance", "image_proj", "motion_refiner", "unet", "vae")
    networks = {name: with_initial_weights(NEW.build(name, device="cpu")) for name in names}
    unet, vae = networks["unet"], networks.pop("vae")
    latents = []
    for number in range(2):
        pictures = torch.from_numpy(np.array(clips.load(number).pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            encoded = vae.encode(pictures)[:, :6]
        latents.append((encoded / encoded.std(dim=(0, 2, 3), keepdim=True)).numpy().astype(np.float16))
    phase = phase_of(clips, networks, latents)
    begun = Begun(OLD.build)
    made = fitted_unet(unet, begun, OLD, phase, clips)
    kept = "down_blocks.0.resnets.0.spatial_res_block.conv1.weight"
    assert torch.equal(made.state_dict()[kept], begun.state("unet")[kept])
    with torch.no_grad():
        asked = phase.drawn(40, np.random.default_rng(5))
        said = phase.predict(asked.noisy, asked.sigma, [row.portrait for row in asked.rows], asked.rows)
    left = (said - asked.velocity).square().mean() / asked.velocity.square().mean()
    assert left < 0.8  # of the two clips it was fitted to; 1 is a network that says nothing
