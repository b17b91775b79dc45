"""What a build would do, and why: told without touching anything."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import export.plans.build_plans
import export.plans.plan_steps
from engines.bundle_writer import BundleWriter
from engines.errors import BundleError, InputError, OutputError
from engines.plans import PlanOptions
from export.build import BuildConfig
from export.dry_run import Line, dry_run
from export.graphs.build_quantized import quantization_facts
from export.graphs.graph_steps import GraphStep
from export.plans.plan import PlanReport
from export.plans.plan_steps import PlanConfig, plan_steps
from tests.engines.bundles import TARGET, make_bundle, make_graph, manifest_of
from tests.export.tiny import TINY

PLANS = PlanConfig(family="tensorrt-rtx", capabilities=("8.9", "12.0"))


def reasons(steps) -> dict[str, str]:
    return {step.name: step.why for step in steps if step.build}


def graph_lines(config: BuildConfig) -> list[Line]:
    return dry_run(config.bundle, config, None)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}


@pytest.mark.xdist_group("tiny-build")
class TestGraphs:
    @pytest.fixture
    def path(self, tiny_bundle, tmp_path) -> Path:
        return Path(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))

    def test_an_unchanged_bundle_would_be_reused_and_is_not_touched(self, path):
        before = snapshot(path)
        assert reasons(graph_lines(BuildConfig(preset=TINY.name, bundle=path))) == {}
        assert snapshot(path) == before

    def test_a_bundle_that_is_not_there_would_be_built_and_is_still_not_there(self, tiny_preset, tmp_path):
        lines = graph_lines(BuildConfig(preset=TINY.name, bundle=tmp_path / "new"))
        assert {line.why for line in lines} == {"the bundle has none"}
        assert not (tmp_path / "new").exists()

    def test_what_the_build_would_refuse_the_dry_run_refuses_too(self, path):
        with pytest.raises(InputError, match="holds none of these settings of motion"):
            graph_lines(BuildConfig(preset=TINY.name, bundle=path, frames=4, only=("denoiser",)))
        (path / "letters.txt").write_text("mine")
        with pytest.raises(BundleError, match=r"holds letters\.txt, which is no part of a bundle"):
            graph_lines(BuildConfig(preset=TINY.name, bundle=path))
        with pytest.raises(OutputError, match="is a file, a bundle is a folder"):
            graph_lines(BuildConfig(preset=TINY.name, bundle=path / "letters.txt"))
        with pytest.raises(BundleError, match="is a bundle of preset tiny, asked for pocket"):
            graph_lines(BuildConfig(preset="pocket", bundle=path))

    def test_another_window_changes_the_tensors_of_the_graphs_that_know_it(self, path):
        found = reasons(graph_lines(BuildConfig(preset=TINY.name, bundle=path, frames=4)))
        assert set(found) == {"motion", "denoiser", "stitch"}
        assert set(found.values()) == {"its tensors change (size, frames or precision)"}

    def test_another_precision_says_so(self, path):
        found = reasons(graph_lines(BuildConfig(preset=TINY.name, bundle=path, precision="fp16")))
        assert "the precision changes" in found["vae_decoder"]
        assert "vae_encoder" not in found

    def test_other_weights_are_named(self, path, monkeypatch):
        from export.weights.source import RandomWeights

        monkeypatch.setattr(RandomWeights, "fingerprint", lambda self, network: "00" if network == "vae" else "11")
        found = reasons(graph_lines(BuildConfig(preset=TINY.name, bundle=path)))
        assert found["vae_decoder"] == "other weights of vae"
        assert found["denoiser"] == "other weights of unet, pose_guider"

    def test_another_exporter_is_named(self, path, monkeypatch):
        from importlib import metadata

        version = metadata.version
        monkeypatch.setattr("export.build.metadata.version", lambda n: "9.9" if n == "onnxscript" else version(n))
        assert reasons(graph_lines(BuildConfig(preset=TINY.name, bundle=path)))["stitch"] == (
            "other versions of onnxscript"
        )

    def test_another_calibration_says_so(self, tiny_bundle):
        graph = BuildConfig(preset=TINY.name, bundle=tiny_bundle.path, quantize=("int8",)).graphs()["denoiser_int8"]
        drawn = {
            **tiny_bundle.manifest.graphs["denoiser"].built["facts"],
            "quantized": quantization_facts("int8", None),
        }
        before = replace(tiny_bundle.manifest.graphs["denoiser"], built={"facts": drawn})
        own = {**drawn, "quantized": quantization_facts("int8", (tiny_bundle.path / "manifest.json",) * 2)}
        whys = [GraphStep(graph=graph, facts=facts, record=None, before=before).why for facts in (drawn, own)]
        assert whys == ["its files are damaged", "it is calibrated otherwise"]

    def test_a_damaged_graph_says_so(self, path, tiny_bundle):
        (path / tiny_bundle.manifest.graphs["stitch"].main).write_bytes(b"")
        assert reasons(graph_lines(BuildConfig(preset=TINY.name, bundle=path))) == {"stitch": "its files are damaged"}


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A bundle with plans of both its graphs."""

    def build(family, *, onnx, out, **more):
        out.write_bytes(b"plan of " + onnx.read_bytes())
        return PlanReport(seconds=0.0, peak_bytes=0, attention=NO_ATTENTION, layers=(), layers_from="network")

    monkeypatch.setattr(export.plans.build_plans, "build_plan", build)
    monkeypatch.setattr(export.plans.plan_steps, "plan_target", lambda *args: TARGET)
    monkeypatch.setattr(export.plans.build_plans, "check_build_memory", lambda *args: None)
    path = make_bundle(tmp_path / "bundle", unet=b"graph", vae=b"other").path
    export.plans.build_plans.build_plans(path, PLANS)
    return path


NO_ATTENTION = {"count": 0, "fused": 0, "from": "network", "kinds": [], "score_maps": []}


def plan_lines(path: Path, only: tuple[str, ...] = ()) -> list[Line]:
    return dry_run(path, None, replace(PLANS, only=only))


def test_plans_that_are_there_would_be_reused_and_are_not_touched(path):
    before = snapshot(path)
    assert reasons(plan_lines(path)) == {}
    assert snapshot(path) == before


def test_a_plan_whose_graph_is_built_again_follows_it(path):
    graphs = {**BundleWriter(path).manifest().graphs, "vae": None}
    assert reasons(plan_steps(BundleWriter(path), TARGET, PLANS, graphs, by_network=False)) == {
        "vae": "its graph is built first"
    }


def test_a_damaged_plan_says_so(path):
    plan = BundleWriter(path).manifest().engines[TARGET.folder].plans["vae"]
    (path / plan.main).unlink()
    assert reasons(plan_lines(path)) == {"vae": "its files are damaged"}


def test_another_target_says_how_it_differs_from_what_there_is(path, monkeypatch):
    other = replace(TARGET, version="1.7.2", options=PlanOptions(weight_streaming=True))
    monkeypatch.setattr(export.plans.plan_steps, "plan_target", lambda *args: other)
    assert reasons(plan_lines(path, only=("unet",))) == {
        "unet": "the bundle's plans are for version 1.7.1.116, not 1.7.2, weight_streaming False, not True"
    }


def test_of_many_targets_the_nearest_one_is_compared(path, monkeypatch):
    far = replace(TARGET, version="1.7.0", capabilities=("8.0",), options=PlanOptions(weight_streaming=True))
    near = replace(TARGET, options=PlanOptions(optimization_level=2))
    for target in (far, near):
        monkeypatch.setattr(export.plans.plan_steps, "plan_target", lambda *args, target=target: target)
        export.plans.build_plans.build_plans(path, PLANS)
    new = replace(near, capabilities=("8.9",))
    monkeypatch.setattr(export.plans.plan_steps, "plan_target", lambda *args: new)
    assert reasons(plan_lines(path, only=("unet",))) == {
        "unet": "the bundle's plans are for capabilities 8.9, 12.0, not 8.9"
    }


def test_a_file_that_stops_the_build_stops_the_dry_run(path):
    (path / TARGET.folder / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"notes\.txt, which the build did not write"):
        plan_lines(path)


def test_a_family_without_plans_says_so(path, monkeypatch):
    monkeypatch.setattr(export.plans.plan_steps, "plan_target", lambda *args: replace(TARGET, family="tensorrt"))
    assert reasons(plan_lines(path, only=("unet",))) == {"unet": "the bundle has no plans for tensorrt"}


def test_an_engine_that_can_now_be_compared_says_so(path, monkeypatch):
    monkeypatch.setattr(export.plans.plan_steps, "why_not_compared", lambda *args, **more: "")
    assert reasons(plan_lines(path, only=("unet",))) == {"unet": "it was never compared"}


def test_a_graph_that_came_later_has_no_plan_yet(path):
    with BundleWriter(path) as writer:
        standing = writer.manifest()
        graph = make_graph(writer, "more", b"new")
        writer.commit(replace(manifest_of(*standing.graphs.values(), graph), engines=standing.engines))
    assert reasons(plan_lines(path)) == {"more": "the bundle has plans for this target, and not this one"}
