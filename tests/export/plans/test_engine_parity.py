"""Engines against PyTorch and ONNX Runtime: errors are what a plain formula gives, and a wrong engine is refused."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

import export.build
from engines.errors import EngineMismatch, InputError, ParityError
from engines.manifest import GraphRecord
from engines.plans import PlanOptions
from export.build import BuildConfig
from export.plans.engine_parity import Run, compare_engine, compare_runs, graph_of, why_no_reference
from tests.engines.bundles import TARGET, spec_of
from tests.export.tiny import TINY

SPEC = spec_of("unet")
REFERENCE = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


def runs(engine: np.ndarray, onnx: np.ndarray = REFERENCE, torch: np.ndarray = REFERENCE) -> list[Run]:
    arrays = {"torch": torch, "onnxruntime": onnx, "tensorrt": engine}
    return [Run(runner=name, sizes={"rows": 3}, outputs={"y": array}) for name, array in arrays.items()]


def test_errors_are_relative_to_the_rms_of_the_reference():
    engine, onnx = REFERENCE + np.float32(0.01), REFERENCE - np.float32(0.005)
    found = compare_runs(SPEC, "fp16", [runs(engine, onnx)])
    rms = np.sqrt(np.mean(REFERENCE.astype(np.float64) ** 2))
    onnx_rms = np.sqrt(np.mean(onnx.astype(np.float64) ** 2))
    # float32 sums of twelve numbers, and a way through decibels and back
    assert found == pytest.approx({"max": 0.01 / rms, "rms": 0.01 / rms, "rms_onnxruntime": 0.015 / onnx_rms}, rel=1e-4)


def test_a_networks_output_may_lie_in_memory_in_any_order():
    """As PyTorch permutes pixels: a view, whose values are where its strides say."""
    turned = np.asfortranarray(REFERENCE)
    assert not turned.flags.c_contiguous and np.array_equal(turned, REFERENCE)
    near = REFERENCE + np.float32(0.01)
    assert compare_runs(SPEC, "fp16", [runs(near, torch=turned)]) == compare_runs(SPEC, "fp16", [runs(near)])
    assert compare_runs(SPEC, "fp32", [runs(turned)]) == {"max": 0.0, "rms": 0.0, "rms_onnxruntime": 0.0}


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


def test_the_limit_of_float32_is_tighter():
    near = REFERENCE + np.float32(5e-3)
    assert compare_runs(SPEC, "fp16", [runs(near)])["rms"] < 0.01
    with pytest.raises(ParityError, match=r"limit 0\.001 for fp32"):
        compare_runs(SPEC, "fp32", [runs(near)])


def record(flop: float) -> GraphRecord:
    return GraphRecord(name="unet", key="0" * 64, spec=SPEC, precision="fp16", flops={"call": flop})


def test_a_small_graph_has_onnx_runtimes_cpu_for_a_reference_and_a_large_one_has_not():
    assert why_no_reference(record(1e9), by_network=False) == ""
    reason = why_no_reference(record(32e12), by_network=False)
    assert "ONNX Runtime has no CUDA here" in reason and "or give the weights" in reason
    assert why_no_reference(record(32e12), by_network=True) == ""


def test_what_comparing_takes_is_asked_for_before_anything_is_built(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "polygraphy" else find_spec(name))
    with pytest.raises(
        InputError, match=r"comparing engines takes polygraphy; pip install '.\[export\]' in a checkout of hp-trt, "
    ):
        why_no_reference(record(1e9), by_network=True)


@pytest.mark.usefixtures("no_onnx_runtime")
def test_without_onnx_runtime_comparing_says_how_to_install_it():
    with pytest.raises(EngineMismatch, match="onnxruntime is not installed; pip install"):
        why_no_reference(record(1e9), by_network=False)


@pytest.mark.xdist_group("tiny-build")
class TestEngines:
    """A bundle's graphs stand in for their plans, opened by ONNX Runtime: everything runs but TensorRT."""

    @pytest.fixture
    def compare(self, tiny_bundle, monkeypatch):
        import engines.trt_backend
        from engines.onnx_backend import OnnxBackend

        monkeypatch.setattr(engines.trt_backend, "open_trt_backend", lambda family, **options: OnnxBackend(threads=1))
        manifest = tiny_bundle.manifest

        def run(name: str, reference=None, plan: str | None = None) -> dict[str, float]:
            return compare_engine(
                manifest,
                manifest.graphs[name],
                TARGET,
                plan=tiny_bundle.model_path(plan or name),
                onnx=tiny_bundle.model_path(name),
                reference=reference,
                device_id=0,
            )

        return run

    def test_weights_stream_where_the_plan_lets_them(self, tiny_bundle, monkeypatch):
        import engines.trt_backend
        from engines.onnx_backend import OnnxBackend

        asked = []

        def opened(family, **options):
            asked.append(options["automatic_budget"])
            return OnnxBackend(threads=1)

        monkeypatch.setattr(engines.trt_backend, "open_trt_backend", opened)
        graph, model = tiny_bundle.manifest.graphs["stitch"], tiny_bundle.model_path("stitch")
        for streams in (False, True):
            target = replace(TARGET, options=PlanOptions(weight_streaming=streams))
            compare_engine(tiny_bundle.manifest, graph, target, plan=model, onnx=model, reference=None, device_id=0)
        assert asked == [False, True]

    @pytest.mark.parametrize("name", ["motion", "step_embedding", "denoiser"])
    def test_a_right_engine_agrees_with_its_network_and_with_onnx_runtime(self, compare, tiny_bundle, name):
        reference = export.build.reference(BuildConfig(preset=TINY.name, bundle=tiny_bundle.path))
        found = compare(name, reference)
        assert set(found) == {"max", "rms", "rms_onnxruntime"}
        assert 0 < found["rms"] <= found["max"] < 5e-5  # as after the export: it is the same graph
        assert found["rms_onnxruntime"] < 1e-6

    def test_without_weights_onnx_runtime_is_the_reference(self, compare):
        found = compare("vae_decoder")
        assert set(found) == {"max", "rms"} and found["max"] < 1e-5

    def test_an_engine_of_other_weights_is_refused(self, compare, tiny_bundle, tmp_path):
        import onnx

        model = onnx.load(tiny_bundle.model_path("stitch"))
        for node in model.graph.node:
            if node.op_type == "Add":
                node.op_type = "Sub"
        wrong = tmp_path / "stitch.onnx"
        onnx.save(model, wrong)
        with pytest.raises(ParityError, match="the tensorrt-rtx engine of stitch disagrees with onnxruntime"):
            compare_engine(
                tiny_bundle.manifest,
                tiny_bundle.manifest.graphs["stitch"],
                TARGET,
                plan=wrong,
                onnx=tiny_bundle.model_path("stitch"),
                reference=None,
                device_id=0,
            )

    def test_a_graph_that_this_program_exports_no_more_says_so(self, tiny_bundle):
        record = tiny_bundle.manifest.graphs["stitch"]
        other = replace(record, spec=tiny_bundle.manifest.graphs["motion"].spec)
        with pytest.raises(InputError, match="the bundle's stitch is not what this program exports; export it again"):
            graph_of(tiny_bundle.manifest, other)
