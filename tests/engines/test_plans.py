"""Plans in a bundle: beside the graphs, tied to them, found again, and never loaded unverified."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.errors import BundleError
from engines.plans import PlanOptions, PlanRecord, Target
from tests.engines.bundles import TARGET, make_bundle_with_plans, make_graph, make_plan, manifest_of, with_plans

OTHER = Target(family="tensorrt", version="11.4.0.106", capabilities=("9.0",), gpu="NVIDIA H200")


@pytest.fixture
def path(tmp_path):
    make_bundle_with_plans(tmp_path, unet=b"graph", vae=b"other")
    return tmp_path


def plan_of(bundle, name="unet"):
    return bundle.manifest.engines[TARGET.folder].plans[name]


def test_plans_come_back_as_they_were_committed(path):
    bundle = Bundle.open(path)
    assert (path / plan_of(bundle).main).read_bytes() == b"plan of unet" * 50
    assert [engines.target for engines in bundle.engine_sets("tensorrt-rtx")] == [TARGET]
    assert bundle.engine_sets("tensorrt") == []


def test_any_change_of_target_or_option_is_another_folder():
    others = [
        OTHER,
        replace(TARGET, version="1.7.2"),
        replace(TARGET, capabilities=("8.9",)),
        replace(TARGET, options=PlanOptions(weight_streaming=True)),
        replace(TARGET, options=PlanOptions(strip=True)),
    ]
    assert len({t.folder for t in (TARGET, *others)}) == 6


def test_a_plan_altered_in_one_bit_is_refused_before_anybody_reads_it(path):
    file = path / plan_of(Bundle.open(path)).main
    content = bytearray(file.read_bytes())
    content[7] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match=r"unet\.plan was changed: sha256 .*build_engines --family tensorrt-rtx"):
        Bundle.open(path)


def test_a_truncated_plan_is_refused_by_its_size(path):
    file = path / plan_of(Bundle.open(path)).main
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"unet\.plan was changed: 599 bytes, needed 600"):
        Bundle.open(path, family="tensorrt-rtx")


@pytest.mark.parametrize("family", ["onnxruntime", "tensorrt", ""])
def test_damaged_plans_stop_nobody_who_runs_or_builds_without_them(path, family):
    folder = path / plan_of(Bundle.open(path)).folder
    (folder / "unet.plan").write_bytes(b"cut")
    (folder / "record.json").unlink()
    assert Bundle.open(path, family=family)


def test_a_damaged_plan_is_refused_with_the_command_that_builds_this_very_plan(tmp_path):
    options = PlanOptions(
        workspace_bytes=3 << 29,
        weight_streaming=True,
        optimization_level=2,
        max_aux_streams=0,
        tiling_optimization_level=3,
    )
    bundle = make_bundle_with_plans(tmp_path, target=replace(TARGET, options=options), unet=b"graph")
    (tmp_path / next(iter(bundle.manifest.engines.values())).plans["unet"].main).unlink()
    with pytest.raises(BundleError) as caught:
        Bundle.open(tmp_path)
    command = "--capability 8.9,12.0 --workspace 1.5 --weight-streaming --optimization-level 2 --max-aux-streams 0"
    command += f" --tiling-optimization-level 3 --bundle {tmp_path}"
    assert str(caught.value).endswith(f"python -m export.build_engines --family tensorrt-rtx {command}")


def test_plans_and_graphs_are_hashed_when_they_are_opened(path):
    bundle = Bundle.open(path)
    graph = bundle.model_path("unet")
    graph.write_bytes(graph.read_bytes()[::-1])
    plan = path / plan_of(bundle).main
    plan.write_bytes(plan.read_bytes()[::-1])
    assert Bundle.open(path, family="tensorrt-rtx")
    with pytest.raises(BundleError, match="sha256"):
        Bundle.open(path, family="onnxruntime").check_graphs(["unet"])
    with pytest.raises(BundleError, match="sha256"):
        Bundle.open(path)


def test_a_timing_cache_beside_the_plans_is_ours_and_any_other_file_is_not(path):
    (path / TARGET.folder / "timing.cache").write_bytes(b"measured")
    assert Bundle.open(path)
    (path / TARGET.folder / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"notes\.txt, which the build did not write"):
        Bundle.open(path)


def test_a_manifest_cannot_name_a_plan_of_another_graph(path):
    bundle = Bundle.open(path)
    wrong = replace(plan_of(bundle), graph_key="0" * 64)
    with pytest.raises(ValueError, match="built from another graph than the bundle's unet"):
        with_plans(bundle.manifest, wrong)


@pytest.mark.parametrize("cache", [True, False])
def test_plans_that_no_manifest_names_any_more_are_swept_but_for_what_was_measured(path, cache):
    if cache:
        (path / TARGET.folder / "timing.cache").write_bytes(b"measured")
    with BundleWriter(path) as writer:
        unet = make_graph(writer, "unet", b"graph")
        plan = make_plan(writer, unet, b"for another GPU", OTHER)
        writer.commit(with_plans(manifest_of(unet), plan, target=OTHER))
    left = [file.name for file in (path / TARGET.folder).glob("*")]
    assert left == (["timing.cache"] if cache else [])
    assert (path / TARGET.folder).exists() == cache
    assert Bundle.open(path).manifest.engines.keys() == {OTHER.folder}


def test_a_timing_cache_of_a_build_that_never_finished_is_kept(path):
    with BundleWriter(path) as writer:
        writer.timing_cache(OTHER).write_bytes(b"measured")
    assert Bundle.open(path)
    with BundleWriter(path) as writer:
        assert writer.timing_cache(OTHER).read_bytes() == b"measured"


def test_a_finished_plan_survives_a_build_that_is_killed_before_its_commit(tmp_path):
    class Killed(BaseException):
        pass

    with pytest.raises(Killed), BundleWriter(tmp_path) as writer:  # noqa: PT012
        unet = make_graph(writer, "unet", b"graph")
        made = make_plan(writer, unet, b"plan")
        writer.stage_plan(TARGET, "unet", "ab" * 32)  # begun and not finished
        raise Killed
    with BundleWriter(tmp_path) as writer:
        assert writer.find_plan(TARGET, "unet", made.key) == made
        bundle = writer.commit(with_plans(manifest_of(unet), made))
    assert bundle.model_path("unet").read_bytes() == b"graph"
    assert plan_of(Bundle.open(tmp_path)) == plan_of(bundle)
    assert not (tmp_path / ".build").exists()


def test_a_record_survives_its_own_json(path):
    plan = plan_of(Bundle.open(path))
    assert PlanRecord.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert Target.from_json(json.loads(json.dumps(TARGET.to_json()))) == TARGET
