"""8-bit denoisers in a bundle: calibrated on what denoisers are really given, compared on other calls, never kept when
wrong."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest

import export.graphs.build_quantized
import export.hunyuanportrait.model
from engines.bundle import Bundle
from engines.errors import InputError, ParityError
from engines.manifest import build_command
from engines.onnx_backend import OnnxBackend
from export.build import BuildConfig, build_bundle
from export.graphs.shared_weights import unlinked
from export.hunyuanportrait.graphs import bundle_graphs
from export.hunyuanportrait.recorded_calls import CalibrationClip, Thinned, denoiser_calls
from export.plans.plan_steps import PlanConfig, wanted
from hp_trt.measure.evaluation.drawn import DrawnPairs
from tests.export.tiny import TINY

pytestmark = pytest.mark.xdist_group("tiny-build")


@pytest.fixture
def calls(tiny_bundle, monkeypatch):
    """Instead of clips, which random weights make nothing of: calls of the promised shapes."""
    graph = bundle_graphs(TINY.architecture, size=TINY.size, frames=TINY.frames, motion_px=TINY.motion_px)["denoiser"]
    made = [{k: t.numpy() for k, t in graph.example({"rows": 1}, seed=seed).items()} for seed in range(4)]
    monkeypatch.setattr(export.hunyuanportrait.model, "denoiser_calls", lambda *unused: made)
    monkeypatch.setattr(export.hunyuanportrait.model, "drawn_clips", lambda crop_px: [])
    return made


@pytest.fixture
def config(tiny_preset, tiny_bundle, tmp_path) -> BuildConfig:
    shutil.copytree(tiny_bundle.path, tmp_path / "bundle")
    return BuildConfig(preset=tiny_preset, bundle=tmp_path / "bundle", quantize=("int8",))


def test_a_bundle_holds_the_denoiser_in_8_bits_beside_the_full_one(config, calls):
    steps = []
    bundle = build_bundle(config, lambda p: steps.append((p.graph, p.step)))
    assert [s for g, s in steps if g == "denoiser_int8"] == ["calibrate", "quantize", "parity", "done"]
    assert all(step == "reuse" for graph, step in steps if graph != "denoiser_int8")
    record, full = (Bundle.open(config.bundle).manifest.graphs[name] for name in ("denoiser_int8", "denoiser"))
    assert (record.precision, record.spec.inputs, record.flops) == ("int8", full.spec.inputs, full.flops)
    assert record.built["quantized"]["samples"] == 2  # the other two are compared on
    assert record.weights_bytes < full.weights_bytes
    session = OnnxBackend().load(record.spec, bundle.model_path("denoiser_int8"))
    reference = OnnxBackend().load(full.spec, bundle.model_path("denoiser"))
    made, expected = (s.run(calls[1])["velocity"] for s in (session, reference))
    error = np.sqrt(np.mean((made - expected) ** 2) / np.mean(expected**2))
    assert 0.001 < error <= record.parity["rms"] + 1e-6  # rounded, and no worse than the record admits
    assert " --quantize int8" in build_command(config.bundle, bundle.manifest.to_json())
    # A second build makes nothing again.
    again = []
    build_bundle(config, lambda p: again.append(p.step))
    assert set(again) == {"reuse"}


def test_one_that_is_off_is_not_kept(config, calls, monkeypatch):
    monkeypatch.setattr(export.graphs.build_quantized, "LIMIT_RMS", {"int8": 1e-6, "fp8": 1e-6})
    before = Bundle.open(config.bundle).manifest
    with pytest.raises(ParityError, match=r"denoiser_int8 is not denoiser: rms error .* limit 1e-06.*--quantize"):
        build_bundle(config)
    assert Bundle.open(config.bundle).manifest == before
    assert not list(config.bundle.glob("onnx/denoiser_int8-*"))


def test_calls_are_those_of_a_clip_at_every_noise_level(tiny_bundle):
    pair = DrawnPairs("self", range(3, 4), 4).pair(0, TINY.size)
    clip = CalibrationClip(
        portrait=pair.portrait,
        driving=pair.driving,
        portrait_faces=pair.portrait_faces,
        driving_faces=pair.driving_faces,
    )
    few = {**tiny_bundle.manifest.sampling, "steps": 2, "pad_frames": 1}
    bundle = replace(tiny_bundle, manifest=replace(tiny_bundle.manifest, sampling=few))
    found = denoiser_calls(bundle, "denoiser", [clip])
    assert len(found) == 2 * (4 + 2)  # steps, windows of stride one
    spec = bundle.spec("denoiser")
    for call in found:
        assert spec.check_inputs(call) == {"rows": 2}
    assert len({float(call["c_in"][0]) for call in found}) == 2
    # Each is a copy: the loop writes over its buffers.
    assert len({call["latents"].tobytes() for call in found}) == len(found)


@pytest.mark.parametrize("offered", [1, 5, 6, 7, 23, 100])
def test_of_many_calls_some_are_kept_evenly(offered):
    kept = Thinned(6)
    for i in range(offered):
        kept.offer(lambda i=i: {"i": np.array(i)})
    numbers = [int(call["i"]) for call in kept.calls]
    assert numbers == list(range(0, offered, numbers[1] if len(numbers) > 1 else 1))
    assert min(offered, 3) <= len(numbers) <= 6


def test_a_graph_whose_weights_are_linked_is_read_from_a_copy(tmp_path):
    graph = onnx.helper.make_graph([], "g", [], [], [onnx.numpy_helper.from_array(np.arange(600.0), "w")])
    folder = tmp_path / "graph"
    folder.mkdir()
    path = folder / "g.onnx"
    onnx.save(onnx.helper.make_model(graph), path, save_as_external_data=True, location="g.onnx.data", size_threshold=0)
    with unlinked(path, beside=folder) as readable:
        assert readable == path
    (tmp_path / "other").hardlink_to(folder / "g.onnx.data")
    with pytest.raises(Exception, match="hard"):
        onnx.load(path)
    with unlinked(path, beside=folder) as readable:
        [tensor] = onnx.load(readable).graph.initializer
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), np.arange(600.0))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["graph", "other"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"quantize": ("int4",)}, "no quantisation 'int4'; did you mean int8\\? There are: int8, fp8"),
        ({"calibration": ("p.png", "d.mp4")}, "nothing is quantised; ask for both or for neither"),
    ],
)
def test_what_cannot_be_quantised_is_told_at_once(tmp_path, changes, says):
    with pytest.raises(InputError, match=says):
        BuildConfig(preset="pocket", bundle=tmp_path, **changes)


def test_a_clip_to_calibrate_on_that_is_not_there_is_told_before_the_work(config, calls, tmp_path):
    missing = replace(config, calibration=(tmp_path / "me.png", tmp_path / "talk.mp4"))
    with pytest.raises(InputError, match=r"me.png, to calibrate on, is no file"):
        build_bundle(missing)


def test_a_target_gets_no_plans_of_products_that_it_lacks(tiny_bundle):
    pytest.importorskip("tensorrt_rtx")
    precisions = {name: graph.precision for name, graph in tiny_bundle.manifest.graphs.items()}
    precisions |= {"denoiser_int8": "int8", "denoiser_fp8": "fp8"}

    def plans(capability: str, only: tuple[str, ...] = ()) -> set[str]:
        return {*wanted(precisions, PlanConfig(family="tensorrt-rtx", capabilities=(capability,), only=only))}

    assert {*precisions} - plans("8.9") == {"denoiser_int8"}
    assert {*precisions} - plans("8.6") == {"denoiser_int8", "denoiser_fp8"}
    with pytest.raises(InputError, match=r"no fp8 products for capability 8\.6, which denoiser_fp8 is made of"):
        plans("8.6", only=("denoiser_fp8",))


def test_a_clip_that_leaves_no_call_to_compare_on_is_refused(config, calls):
    del calls[1:]
    with pytest.raises(InputError, match="makes 1 call of denoiser, two are needed; give a longer driving video"):
        build_bundle(config)
    assert not list(config.bundle.glob("onnx/denoiser_int8-*"))


def test_one_that_gives_no_numbers_is_not_kept(config, calls, monkeypatch):
    monkeypatch.setattr(export.graphs.build_quantized, "relative_errors", lambda *pair: {"max": np.nan, "rms": np.nan})
    with pytest.raises(ParityError, match="rms error nan"):
        build_bundle(config)
