"""A configuration that cannot be is refused where it is made, with what can be."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from engines.errors import InputError
from hp_trt.config import RuntimeConfig


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"family": "tensorrt_rtx"}, "no family 'tensorrt_rtx'; did you mean tensorrt-rtx?"),
        ({"provider": "gpu"}, "no provider 'gpu'; did you mean cpu? There are: cpu, cuda"),
        ({"family": "tensorrt", "provider": "cuda"}, "the provider cuda is ONNX Runtime's, the family is tensorrt"),
        ({"weight_budget_bytes": 1 << 30}, "a weight budget is for TensorRT's plans, the family is onnxruntime"),
        (
            {"family": "tensorrt", "weight_budget_bytes": -1},
            "weight_budget_bytes must be a whole number of at",
        ),
        ({"overlap_decode": True}, "overlap_decode is for TensorRT's plans, the family is onnxruntime"),
        (
            {"family": "tensorrt", "device_id": -1},
            "device_id (of GPUs, from 0) must be a whole",
        ),
        ({"max_frames": 0}, "max_frames must be a whole number of at least 1, got 0"),
        ({"decoder": "nvenc"}, "no decoder 'nvenc'; did you mean nvdec? There are: cpu, nvdec"),
        ({"encoder": "cuda"}, "no encoder 'cuda'"),
        ({"locator_file": "faces.onnx"}, "the locator haar takes no file, got faces.onnx"),
    ],
)
def test_what_cannot_be_is_refused_in_words(options, says):
    with pytest.raises(InputError, match=re.escape(says)):
        RuntimeConfig(**options)


def test_the_defaults_run_on_a_machine_without_a_gpu():
    config = RuntimeConfig()
    assert (config.family, config.provider, config.profile) == ("onnxruntime", "cpu", "exact")


def test_hardware_coders_are_those_of_its_gpu_and_only_where_they_are_asked_for():
    plain, asked = RuntimeConfig(device_id=2), RuntimeConfig(device_id=2, decoder="nvdec", encoder="nvenc")
    assert (plain.nvdec, plain.nvenc, asked.nvdec, asked.nvenc) == (None, None, 2, 2)


def test_the_help_explains_every_field():
    for field in fields(RuntimeConfig):
        assert re.search(rf"^    {field.name} +\S", RuntimeConfig.__doc__, re.MULTILINE), field.name
