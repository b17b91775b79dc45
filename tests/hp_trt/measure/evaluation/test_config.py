from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import InputError
from hp_trt.measure.evaluation.config import EvaluateConfig, NetworkFiles, parse_seeds

GOOD = {"protocol": "self", "seeds": "0:24", "bundles": (Path("b"),)}


def test_seeds_are_a_range_without_its_end():
    assert parse_seeds("3:7") == range(3, 7)


@pytest.mark.parametrize("text", ["", "3", "3:", ":3", "3:3", "7:3", "-1:3", "0:3:1", "a:b", "1.5:3", "0:1e3", "0 : 3"])
def test_what_is_no_range_of_seeds_says_what_one_is(text):
    with pytest.raises(InputError, match="is no range; needed is A:B"):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"protocol": "other"}, "there is no protocol 'other'; there are: self, cross, talk"),
        ({"seeds": None}, "neither --seeds nor --pairs given"),
        ({"pairs": Path("p")}, "both --seeds and --pairs given"),
        ({"seeds": "9:1"}, "--seeds 9:1 is no range"),
        ({"frames": 1}, "--frames must be at least 3, got 1"),
        ({"bundles": ()}, "no bundle given; needed is --bundle DIR"),
        ({"networks": NetworkFiles(pose=Path("p.onnx"))}, "--expression, --pose and --landmarks are for --pairs"),
        ({"networks": NetworkFiles(landmarks=Path("f.tflite"))}, "and --landmarks are for --pairs"),
        ({"networks": NetworkFiles(sync_audio=Path("a"), sync_video=Path("v"))}, "are for --protocol talk"),
        (
            {"protocol": "talk", "seeds": None, "pairs": Path("p")},
            "--protocol talk knows what a mouth should do of drawn",
        ),
        ({"protocol": "talk", "networks": NetworkFiles(sync_audio=Path("a"))}, "the two halves of one network"),
        ({"protocol": "talk", "networks": NetworkFiles(pose=Path("p.onnx"))}, "are for --pairs"),
        ({"moods": True}, "--moods is for --protocol talk: no video's driver is told a mood"),
        (
            {"protocol": "talk", "moods": True, "networks": NetworkFiles(fid_features=Path("f"))},
            "--moods measures by our judge alone",
        ),
        ({"protocol": "talk", "frames": 24}, "--frames must be at least 25, got 24"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(given, says):
    with pytest.raises(InputError) as told:
        EvaluateConfig(**{**GOOD, **given})
    assert says in str(told.value) and "\n" not in str(told.value)


def test_of_speech_expressions_may_be_compared():
    made = EvaluateConfig(**{**GOOD, "protocol": "talk"}, networks=NetworkFiles(expression=Path("e.onnx")))
    assert made.frames is None and not made.moods
    identity = NetworkFiles(arcface=Path("a.onnx"))  # animated networks see it too
    assert EvaluateConfig(**{**GOOD, "protocol": "talk"}, moods=True, networks=identity).moods
