"""Which engine a measurement chooses, and how the choice is written down."""

from __future__ import annotations

import json

import pytest

from engines.engine_choice import EngineChoice, faster


def chosen(**ms: float) -> EngineChoice:
    return faster({name.replace("_", "-"): value for name, value in ms.items()}, sizes={"rows": 2}, threads=2)


@pytest.mark.parametrize(
    ("ms", "exported", "bf16", "used"),
    [
        ({"onnxruntime": 3, "openvino": 2, "openvino_bf16": 1}, "openvino", "openvino-bf16", True),
        ({"onnxruntime": 2, "openvino": 3, "openvino_bf16": 1}, "onnxruntime", "openvino-bf16", True),
        ({"onnxruntime": 1, "openvino": 2, "openvino_bf16": 3}, "onnxruntime", "onnxruntime", False),
        ({"onnxruntime": 3, "openvino": 1, "openvino_bf16": 2}, "openvino", "openvino", True),
        ({"onnxruntime": 3, "openvino": 2}, "openvino", None, True),
        ({"onnxruntime": 1, "openvino": 2}, "onnxruntime", None, False),
    ],
)
def test_the_fastest_runs_it_and_bf16_is_taken_only_where_a_profile_allows_it(ms, exported, bf16, used):
    choice = chosen(**ms)
    assert (choice.exported, choice.bf16, choice.plan_is_used) == (exported, bf16, used)
    assert choice.engine(bf16=False) == exported
    assert choice.engine(bf16=True) == (bf16 or exported)


def test_a_choice_is_read_as_it_was_written():
    choice = chosen(onnxruntime=3, openvino=2, openvino_bf16=1)
    assert EngineChoice.from_json(json.loads(json.dumps(choice.to_json()))) == choice


@pytest.mark.parametrize(
    "change",
    [{"exported": "openvino-bf16"}, {"exported": "tensorrt"}, {"bf16": 1}, {"ms": {"openvino": -1}}, {"threads": 0}],
)
def test_a_choice_that_cannot_be_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        EngineChoice.from_json(chosen(onnxruntime=3, openvino=2).to_json() | change)
