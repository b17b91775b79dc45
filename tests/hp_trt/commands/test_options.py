"""Options that commands share: what they make of their strings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engines.errors import InputError
from hp_trt.commands import options
from hp_trt.config import RuntimeConfig

MACHINE = {"family": "onnxruntime", "provider": "cpu", "device": 0, "threads": 2}
FINDER = {"locator": "haar", "locator_file": None, "arcface": None}


def test_a_runtime_is_set_up_as_the_options_say():
    machine = options.machine(**MACHINE | {"family": "tensorrt", "device": 1})
    finder = options.finder(locator="yunet", locator_file=Path("y.onnx"), arcface=Path("a.onnx"))
    made = RuntimeConfig(**machine, **finder)
    assert (made.family, made.provider, made.device_id, made.threads) == ("tensorrt", "cpu", 1, 2)
    assert (made.locator, made.locator_file, made.arcface) == ("yunet", Path("y.onnx"), Path("a.onnx"))


@pytest.mark.parametrize(
    ("of", "given", "says"),
    [
        (options.machine, MACHINE | {"family": "tensorrt-rxt"}, "no family 'tensorrt-rxt'; did you mean tensorrt-rtx?"),
        (options.machine, MACHINE | {"provider": "abacus"}, "there is no provider 'abacus'; there are: cpu, cuda"),
        (
            options.finder,
            FINDER | {"locator": "yolo"},
            "no locator 'yolo'; did you mean yoloface? There are: haar, yun",
        ),
    ],
)
def test_a_word_that_is_no_choice_is_refused_with_those_there_are(of, given, says):
    with pytest.raises(InputError, match=re.escape(says)):
        of(**given)


def test_one_guidance_scale_is_the_least_and_the_most_and_what_is_not_given_is_the_bundles_own():
    found = options.sampling(steps=3, seed=None, appearance_scale=1.5, motion_scale=None)
    scales = {"guidance_appearance": (1.5, 1.5), "guidance_motion": None}
    assert found == {"steps": 3, "seed": None, "guidance": None, "motion_weights": None, "mood": None} | scales


def test_motion_weights_are_three_numbers():
    asked = {"steps": None, "seed": None, "appearance_scale": None, "motion_scale": None}
    assert options.sampling(**asked, motion_weights="1, 0.5,1.2")["motion_weights"] == (1.0, 0.5, 1.2)
    for wrong in ("1,1", "1,1,x", "", "1 1 1"):
        with pytest.raises(
            InputError, match=re.escape("--motion-weights is three numbers, for pose, face and lips, as 1,1,1.2")
        ):
            options.sampling(**asked, motion_weights=wrong)


def test_a_weight_budget_is_a_number_of_gib():
    assert options.weight_budget_bytes(None) is None
    assert options.weight_budget_bytes(0) == 0
    assert options.weight_budget_bytes(1.5) == 3 << 29
    for wrong in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match=f"--weight-budget is a number of GiB of at least 0, got {wrong}"):
            options.weight_budget_bytes(wrong)
