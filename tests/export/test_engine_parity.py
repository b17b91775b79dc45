"""Engines against PyTorch and ONNX Runtime: errors are what a plain formula gives, and a wrong engine is refused."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import ParityError
from export.engine_parity import Run, compare_runs
from tests.engines.bundles import spec_of

SPEC = spec_of("unet")
REFERENCE = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


def runs(engine: np.ndarray, onnx: np.ndarray = REFERENCE, torch: np.ndarray = REFERENCE) -> list[Run]:
    arrays = {"torch": torch, "onnxruntime": onnx, "tensorrt": engine}
    return [Run(runner=name, sizes={"rows": 3}, outputs={"y": array}) for name, array in arrays.items()]


def test_errors_are_relative_to_the_judges_rms():
    engine, onnx = REFERENCE + np.float32(0.01), REFERENCE - np.float32(0.005)
    found = compare_runs(SPEC, "fp16", [runs(engine, onnx)])
    rms = np.sqrt(np.mean(REFERENCE.astype(np.float64) ** 2))
    onnx_rms = np.sqrt(np.mean(onnx.astype(np.float64) ** 2))
    # float32 sums of twelve numbers, and a way through decibels and back
    assert found == pytest.approx({"max": 0.01 / rms, "rms": 0.01 / rms, "rms_onnxruntime": 0.015 / onnx_rms}, rel=1e-4)


def test_the_worst_try_counts():
    near, far = runs(REFERENCE + np.float32(1e-3)), runs(REFERENCE + np.float32(1e-2))
    assert compare_runs(SPEC, "fp16", [near, far, near]) == compare_runs(SPEC, "fp16", [far])


def test_an_engine_that_is_the_same_has_no_error():
    assert compare_runs(SPEC, "fp32", [runs(REFERENCE.copy())]) == {"max": 0.0, "rms": 0.0, "rms_onnxruntime": 0.0}


@pytest.mark.parametrize("wrong", [REFERENCE * 2, -REFERENCE, REFERENCE * np.nan, REFERENCE * np.inf])
def test_a_wrong_engine_is_refused_with_its_sizes(wrong):
    with pytest.raises(ParityError, match=r"the tensorrt engine of unet disagrees with torch: .* at \{'rows': 3\}"):
        compare_runs(SPEC, "fp16", [runs(wrong)])


def test_an_engine_that_agrees_with_torch_and_not_with_onnx_runtime_is_refused():
    with pytest.raises(ParityError, match="disagrees with onnxruntime"):
        compare_runs(SPEC, "fp16", [runs(REFERENCE, onnx=REFERENCE + 1)])


def test_the_limit_of_float32_is_tight():
    with pytest.raises(ParityError, match="limit 5e-05 for fp32"):
        compare_runs(SPEC, "fp32", [runs(REFERENCE + np.float32(1e-3))])
