"""The weights of enhancer_pocket that come with the package, and what their card says of them."""

import hashlib

from safetensors.torch import load_file

from export.enhancer.presets import ENHANCER_POCKET
from export.enhancer.training.training import Amounts
from export.enhancer.weights import open_source
from hp_trt import shipped
from procedural.clip import FIRST_TRAINING_SEED

CARD = shipped.ENHANCER_POCKET.with_suffix(".md")


def test_the_card_is_of_this_file_and_the_file_is_small():
    size, card = shipped.ENHANCER_POCKET.stat().st_size, CARD.read_text()
    assert size <= 1 << 20
    assert f"{size} bytes" in card
    assert hashlib.sha256(shipped.ENHANCER_POCKET.read_bytes()).hexdigest() in card


def test_the_weights_are_whole_and_in_half_precision():
    source = open_source(ENHANCER_POCKET, shipped.ENHANCER_POCKET, ENHANCER_POCKET.networks)  # every key and shape
    assert source.kind == "trained"
    assert {str(tensor.dtype) for tensor in load_file(shipped.ENHANCER_POCKET).values()} == {"torch.float16"}


def test_the_card_tells_the_amounts_that_the_command_takes():
    text = CARD.read_text()
    assert f"{Amounts().upscaler_steps} steps" in text
    assert f"seeds below {FIRST_TRAINING_SEED}" in text
