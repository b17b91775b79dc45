"""Plans of a bundle: only what changed is built again, and whatever happens at most one engine is lost.

The builder is replaced by one that writes a few bytes: what it makes is `tests/export/plans/test_plan.py`'s subject.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import export.plans.build_plans
import export.plans.plan_steps
from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.engine_choice import EngineChoice, faster
from engines.errors import BundleError, InputError, ParityError
from engines.plans import PlanOptions
from export.plans.build_plans import build_plans
from export.plans.openvino_plan import OpenVinoPlan
from export.plans.plan import PlanReport
from export.plans.plan_steps import PlanConfig
from tests.engines.bundles import CPU_TARGET, TARGET, make_bundle, make_graph, manifest_of

CONFIG = PlanConfig(family="tensorrt-rtx", capabilities=("8.9", "12.0"))
ATTENTION = {"count": 0, "fused": 0, "from": "network", "kinds": [], "score_maps": []}


@pytest.fixture
def built(monkeypatch) -> list[str]:
    """Names of the graphs that are built, in order."""
    names: list[str] = []

    def build(family, *, spec, onnx, out, target, timing_cache=None, on_progress=None, device_id=0):
        names.append(spec.name)
        on_progress("tactics", 1, 2)
        out.write_bytes(b"plan of " + onnx.read_bytes())
        layers = ({"name": "layer", "type": "CONVOLUTION"},)
        return PlanReport(
            seconds=0.25,
            peak_bytes=1000,
            attention=ATTENTION,
            layers=layers,
            layers_from="network",
            warnings=("look out",),
        )

    monkeypatch.setattr(export.plans.build_plans, "build_plan", build)
    monkeypatch.setattr(export.plans.plan_steps, "plan_target", lambda family, capabilities, options, device: TARGET)
    monkeypatch.setattr(export.plans.build_plans, "check_build_memory", lambda *args: None)
    monkeypatch.setattr(export.plans.build_plans, "graph_of", lambda manifest, record: None)  # no preset makes these
    return names


@pytest.fixture
def path(tmp_path):
    return make_bundle(tmp_path / "bundle", unet=b"graph", vae=b"other").path


def plans_of(bundle: Bundle):
    return bundle.manifest.engines[TARGET.folder].plans


def test_every_graph_gets_a_plan_that_tells_how_it_was_built(path, built):
    warnings: list[str] = []
    build_plans(path, CONFIG, on_warning=warnings.append)
    plan = plans_of(Bundle.open(path))["unet"]
    assert built == ["unet", "vae"]
    assert (path / plan.main).read_bytes() == b"plan of graph"
    assert plan.built["seconds"] == 0.25 and plan.built["peak_bytes"] == 1000
    assert "no GPU to run it on" in plan.built["not_compared"]
    report = json.loads((path / plan.folder / "build.json").read_text())
    assert report["layers"] == [{"name": "layer", "type": "CONVOLUTION"}]
    assert report["target"] == TARGET.to_json()
    assert warnings == ["unet: look out", "vae: look out"]


def test_a_second_build_builds_nothing(path, built):
    first = build_plans(path, CONFIG)
    built.clear()
    steps = []
    again = build_plans(path, CONFIG, lambda progress: steps.append((progress.graph, progress.step)))
    assert built == []
    assert steps == [("unet", "reuse"), ("vae", "reuse")]
    assert again.manifest == first.manifest


def test_a_build_killed_in_the_middle_loses_the_engine_it_was_at_and_no_other(path, built, monkeypatch):
    build = export.plans.build_plans.build_plan

    def killed(family, *, spec, **more):
        if spec.name == "vae":
            raise KeyboardInterrupt
        return build(family, spec=spec, **more)

    monkeypatch.setattr(export.plans.build_plans, "build_plan", killed)
    with pytest.raises(KeyboardInterrupt):
        build_plans(path, CONFIG)
    assert Bundle.open(path).manifest.engines == {}  # the bundle that stood still stands
    monkeypatch.setattr(export.plans.build_plans, "build_plan", build)
    built.clear()
    build_plans(path, CONFIG)
    assert built == ["vae"]
    assert plans_of(Bundle.open(path)).keys() == {"unet", "vae"}


def test_only_the_named_plan_is_built_and_the_others_stay(path, built):
    build_plans(path, replace(CONFIG, only=("vae",)))
    assert built == ["vae"]
    build_plans(path, replace(CONFIG, only=("unet",)))
    assert built == ["vae", "unet"]
    assert plans_of(Bundle.open(path)).keys() == {"unet", "vae"}


def test_a_graph_that_is_not_there_is_named_with_those_that_are(path, built):
    with pytest.raises(InputError, match="there is no graph unte; choose from unet, vae"):
        build_plans(path, replace(CONFIG, only=("unte",)))


def test_a_damaged_plan_is_built_again_alone(path, built):
    plan = plans_of(build_plans(path, CONFIG))["vae"]
    (path / plan.main).write_bytes(b"plan of othes")
    with pytest.raises(BundleError, match="sha256"):
        Bundle.open(path)
    built.clear()
    build_plans(path, CONFIG)
    assert built == ["vae"]
    assert Bundle.open(path)


@pytest.mark.parametrize("harm", ["cut", "lost", "without a record"])
def test_plans_that_no_bundle_opens_with_are_built_again(path, built, harm):
    plan = plans_of(build_plans(path, CONFIG))["vae"]
    if harm == "cut":
        (path / plan.main).write_bytes(b"plan")
    else:
        (path / (plan.main if harm == "lost" else f"{plan.folder}/record.json")).unlink()
    with pytest.raises(BundleError):
        Bundle.open(path)
    built.clear()
    build_plans(path, CONFIG)
    assert built == ["vae"]
    assert Bundle.open(path)


def test_damaged_plans_that_this_build_is_not_about_are_let_go(path, built, monkeypatch):
    lost = plans_of(build_plans(path, CONFIG))["vae"]
    (path / lost.main).unlink()
    assert plans_of(build_plans(path, replace(CONFIG, only=("unet",)))).keys() == {"unet"}
    assert Bundle.open(path)
    (path / plans_of(Bundle.open(path))["unet"].main).write_bytes(b"PLAN OF graph")
    other = replace(TARGET, capabilities=("8.9",))
    monkeypatch.setattr(export.plans.plan_steps, "plan_target", lambda *args: other)
    assert build_plans(path, CONFIG).manifest.engines.keys() == {other.folder}
    assert Bundle.open(path)


def test_what_another_build_committed_while_this_one_waited_is_kept(path, built, monkeypatch):
    other = replace(TARGET, capabilities=("8.9",))
    enter = BundleWriter.__enter__

    def enter_late(writer):
        monkeypatch.setattr(BundleWriter, "__enter__", enter)
        monkeypatch.setattr(export.plans.plan_steps, "plan_target", lambda *args: other)
        build_plans(path, CONFIG)
        return enter(writer)

    monkeypatch.setattr(BundleWriter, "__enter__", enter_late)
    assert build_plans(path, CONFIG).manifest.engines.keys() == {other.folder, TARGET.folder}


def test_a_new_graph_takes_its_old_plan_away_and_leaves_the_others(path, built):
    build_plans(path, CONFIG)
    with BundleWriter(path) as writer:
        from export.build import still_good

        records = {n: make_graph(writer, n, c) for n, c in (("unet", b"another graph"), ("vae", b"other"))}
        engines = still_good(writer, records)
        writer.commit(replace(manifest_of(*records.values()), engines=engines))
    assert plans_of(Bundle.open(path)).keys() == {"vae"}
    built.clear()
    build_plans(path, CONFIG)
    assert built == ["unet"]


def test_a_plan_without_weights_stays_when_only_the_weights_of_its_graph_change(path, built, monkeypatch):
    stripped = replace(TARGET, options=PlanOptions(strip=True))
    monkeypatch.setattr(export.plans.plan_steps, "plan_target", lambda *args: stripped)

    def export_again(content: bytes, structure: str):
        with BundleWriter(path) as writer:
            from export.build import still_good

            records = {"unet": make_graph(writer, "unet", content, structure=structure)}
            writer.commit(replace(manifest_of(*records.values()), engines=still_good(writer, records)))

    for content, structure, builds in ((b"one", "a", ["unet"]), (b"other", "a", []), (b"other shapes", "b", ["unet"])):
        export_again(content, structure)
        built.clear()
        bundle = build_plans(path, CONFIG)
        assert built == builds
        assert bundle.manifest.engines[stripped.folder].plans["unet"].graph_key == structure
        assert Bundle.open(path)


def test_another_target_stands_beside(path, built, monkeypatch):
    build_plans(path, CONFIG)
    other = replace(TARGET, options=PlanOptions(weight_streaming=True))
    monkeypatch.setattr(export.plans.plan_steps, "plan_target", lambda *args: other)
    bundle = build_plans(path, CONFIG)
    assert list(bundle.manifest.engines) == [TARGET.folder, other.folder]


def test_a_graph_that_was_changed_is_never_built(path, built):
    file = Bundle.open(path).model_path("unet")
    file.write_bytes(b"hparg")
    with pytest.raises(BundleError, match=r"unet\.onnx was changed after the build; rebuild it: python -m export"):
        build_plans(path, CONFIG)
    assert built == []


def test_a_wrong_engine_is_not_kept_and_a_right_one_has_its_numbers(path, built, monkeypatch):
    monkeypatch.setattr(export.plans.plan_steps, "why_not_compared", lambda *args, **more: "")

    def compare(manifest, record, target, **more):
        if record.name == "vae":
            raise ParityError("the engine of vae is wrong")
        return {"max": 0.01, "rms": 0.001, "rms_onnxruntime": 0.002}

    monkeypatch.setattr(export.plans.build_plans, "compare_engine", compare)
    with pytest.raises(ParityError, match="vae is wrong"):
        build_plans(path, CONFIG)
    assert Bundle.open(path).manifest.engines == {}
    monkeypatch.setattr(export.plans.build_plans, "compare_engine", lambda *args, **more: {"max": 0.01, "rms": 0.001})
    built.clear()
    plans = plans_of(build_plans(path, CONFIG))
    assert built == ["vae"]
    assert plans["unet"].parity["rms_onnxruntime"] == 0.002 and plans["unet"].built["not_compared"] == ""


def test_an_engine_that_was_never_compared_is_compared_when_that_becomes_possible(path, built, monkeypatch):
    before = plans_of(build_plans(path, CONFIG))["unet"]
    monkeypatch.setattr(export.plans.plan_steps, "why_not_compared", lambda *args, **more: "")
    monkeypatch.setattr(export.plans.build_plans, "compare_engine", lambda *args, **more: {"max": 0.01, "rms": 0.001})
    after = plans_of(build_plans(path, CONFIG))["unet"]
    assert after.parity and not before.parity
    assert after.folder != before.folder  # a good plan is never replaced in its place
    monkeypatch.setattr(export.plans.plan_steps, "why_not_compared", lambda *args, **more: "--no-parity")
    built.clear()
    assert plans_of(build_plans(path, CONFIG))["unet"] == after
    assert built == []


def test_onnx_runtime_has_no_plans_to_build():
    with pytest.raises(InputError, match="there are no plans to build"):
        PlanConfig(family="onnxruntime")


def test_a_plan_for_a_cpu_is_a_table_and_what_the_table_uses(path, built, monkeypatch):
    choices = {
        "unet": faster({"onnxruntime": 2.0, "openvino": 1.0}, sizes={"rows": 2}, threads=2),
        "vae": EngineChoice(exported="onnxruntime", why_not="it does not compile"),
    }

    def build(manifest, record, *, onnx, out, reference, compare):
        built.append(record.name)
        if choices[record.name].plan_is_used:
            out.write_bytes(b"plan")
        return OpenVinoPlan(choice=choices[record.name], parity={"max": 1e-6})

    monkeypatch.setattr("export.plans.openvino_plan.build_openvino_plan", build)
    monkeypatch.setattr(export.plans.plan_steps, "plan_target", lambda *args: CPU_TARGET)
    config, warnings = PlanConfig(family="openvino"), []
    build_plans(path, config, on_warning=warnings.append)
    plans = Bundle.open(path).manifest.engines[CPU_TARGET.folder].plans
    assert {name: plan.engine for name, plan in plans.items()} == choices
    assert (path / plans["unet"].main).read_bytes() == b"plan"
    assert [file.name for file in sorted((path / plans["vae"].folder).iterdir())] == ["build.json", "record.json"]
    report = json.loads((path / plans["unet"].folder / "build.json").read_text())
    assert report["engine"]["ms"] == {"onnxruntime": 2.0, "openvino": 1.0} and report["parity"] == {"max": 1e-6}
    assert warnings == ["vae: it does not compile"]
    build_plans(path, config)
    assert built == ["unet", "vae"]
    (path / plans["unet"].main).write_bytes(b"nalp")
    build_plans(path, config)
    assert built == ["unet", "vae", "unet"]
