"""The weights that come with the package, and what their card says of them."""

import hashlib

import pytest
from safetensors.torch import load_file

from export.hunyuanportrait.architecture import LIVE_NETWORKS
from export.hunyuanportrait.presets import POCKET
from export.hunyuanportrait.training.distillation import DistillAmounts
from export.hunyuanportrait.training.training import Amounts
from export.hunyuanportrait.weights import live_weights, packed_weights
from hp_trt import shipped
from procedural.clip import FIRST_TRAINING_SEED

CARD = shipped.POCKET.with_suffix(".md")


@pytest.mark.parametrize(("path", "most"), [(shipped.POCKET, 16_000_000), (shipped.POCKET_LIVE, 10_000_000)])
def test_the_card_is_of_this_file_and_the_file_is_small(path, most):
    size, card = path.stat().st_size, path.with_suffix(".md").read_text()
    assert size <= most
    assert f"{size} bytes" in card
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card


def test_the_live_weights_are_whole_and_belong_to_the_packages_own():
    live = live_weights(POCKET.architecture, shipped.POCKET_LIVE, preset="pocket")
    assert live.networks == LIVE_NETWORKS
    assert live.teacher == packed_weights(POCKET.architecture, shipped.POCKET, preset="pocket").fingerprint("unet")


def test_the_weights_are_whole_finite_and_in_half_precision():
    packed_weights(POCKET.architecture, shipped.POCKET, preset="pocket")  # every key, every shape, nothing infinite
    assert {str(t.dtype) for t in load_file(shipped.POCKET).values() if t.is_floating_point()} == {"torch.float16"}


def test_the_card_tells_the_amounts_that_the_command_takes():
    text, amounts = CARD.read_text(), Amounts()
    for said in (
        f"{amounts.clips} clips of {amounts.frames} frames",
        f"{amounts.driving_clips} drivers",
        f"autoencoder {amounts.autoencoder_steps} steps",
        f"motion networks {amounts.motion_steps}",
        f"UNet {amounts.denoiser_steps}",
        f"decoder {amounts.decoder_steps}",
        f"on {amounts.made} clips",
    ):
        assert said in text


def test_the_live_card_tells_the_amounts_that_the_command_takes():
    text, amounts = shipped.POCKET_LIVE.with_suffix(".md").read_text(), DistillAmounts()
    for said in (
        f"student {amounts.student_steps} steps",
        f"tiny decoder {amounts.decoder_steps} steps",
        f"on {amounts.made} clips as the teacher makes them",
        f"clips of {amounts.frames} frames",
        f"{FIRST_TRAINING_SEED} to {FIRST_TRAINING_SEED + amounts.clips - 1}",
        f"--held-out {amounts.held_out}",
    ):
        assert said in text
