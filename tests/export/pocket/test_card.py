"""The weights that come with the package, and what their card says of them."""

import hashlib

from safetensors.torch import load_file

from export.pocket.training import Plan
from export.pocket.weights import SHIPPED, PackedWeights
from export.presets import POCKET

CARD = SHIPPED.with_suffix(".md")


def test_the_card_is_of_this_file_and_the_file_is_small():
    size = SHIPPED.stat().st_size
    assert size <= 16_000_000
    assert f"{size} bytes" in CARD.read_text()
    assert hashlib.sha256(SHIPPED.read_bytes()).hexdigest() in CARD.read_text()


def test_the_weights_are_whole_finite_and_in_half_precision():
    PackedWeights(POCKET.architecture, SHIPPED, preset="pocket")  # every key, every shape, nothing infinite
    assert {str(t.dtype) for t in load_file(SHIPPED).values() if t.is_floating_point()} == {"torch.float16"}


def test_the_card_tells_the_plan_that_the_command_runs():
    text, plan = CARD.read_text(), Plan()
    for said in (
        f"{plan.clips} clips of {plan.frames} frames",
        f"{plan.drivers} drivers",
        f"autoencoder {plan.autoencoder_steps} steps",
        f"motion networks {plan.motion_steps}",
        f"UNet {plan.denoiser_steps}",
        f"decoder {plan.decoder_steps}",
        f"on {plan.made} clips",
    ):
        assert said in text
