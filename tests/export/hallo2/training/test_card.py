"""The weights of talk_pocket that come with the package, and what their card says of them."""

import hashlib

from safetensors.torch import load_file

from export.hallo2.presets import TALK_POCKET
from export.hallo2.training.training import Amounts
from export.hallo2.weights import open_source
from hp_trt import shipped
from procedural.clip import FIRST_TRAINING_SEED

CARD = shipped.TALK_POCKET.with_suffix(".md")


def test_the_card_is_of_this_file_and_the_file_is_small():
    size, card = shipped.TALK_POCKET.stat().st_size, CARD.read_text()
    assert size <= 16 << 20
    assert f"{size} bytes" in card
    assert hashlib.sha256(shipped.TALK_POCKET.read_bytes()).hexdigest() in card


def test_the_weights_are_whole_finite_and_in_half_precision():
    source = open_source(TALK_POCKET.architecture, shipped.TALK_POCKET, preset="talk_pocket")  # every key and shape
    assert source.kind == "trained"
    kept = load_file(shipped.TALK_POCKET).values()
    assert {str(t.dtype) for t in kept if t.is_floating_point()} == {"torch.float16"}


def test_the_card_tells_the_amounts_that_the_command_takes():
    text, amounts = CARD.read_text(), Amounts()
    for said in (
        f"{amounts.sentences} synthetic sentences",
        f"{amounts.clips} clips of {amounts.frames} frames",
        f"speech networks {amounts.speech_steps} steps",
        f"last place {amounts.lips_steps} and {amounts.steady_steps}",
        f"both UNets {amounts.unet_steps}",
        f"decoder {amounts.decoder_steps}",
        f"of {amounts.spoken} clips as the nets make them",
        f"seeds {FIRST_TRAINING_SEED} and those after it",
    ):
        assert said in text
