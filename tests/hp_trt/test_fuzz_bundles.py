"""A bundle whose manifest is anything, signed by whoever made it: a result, or our own error."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from engines.bundle import Bundle, read_record
from engines.manifest import GraphRecord, Manifest, own_hash
from engines.plans import EngineSet, PlanRecord
from engines.spec import DimRange, NetworkSpec, TensorSpec
from hp_trt.commands.inspect import show, summary
from hp_trt.hunyuanportrait.profiles import sampling_of
from hp_trt.hunyuanportrait.promises import GRAPHS, check_bundle
from hp_trt.measure.planning.plan import PredictConfig, plan
from hp_trt.profiles import Profile
from tests.engines.bundles import TARGET, key_of, make_bundle, manifest_of
from tests.hostile import damaged, fuzz, refused_or_right, spoiled

SIZES = {
    "crop_px": 64,
    "appearance_px": 28,
    "motion_px": 32,
    "F": 5,
    "channels": 4,
    "rows": 8,
    "columns": 8,
    "embedding": 128,
    "image tokens": 3,
    "motion tokens": 4,
    "width": 32,
    "deep": 32,
}
WHOLE = {"head_id": "int64", "exp_id": "int64", "slots": "int64", "pixels": "uint8"}


def promise(name: str) -> NetworkSpec:
    """One that fits."""
    sides = []
    for tensors in GRAPHS[name]:
        found = []
        for tensor, dims in tensors.items():
            sizes = tuple(
                f"n{at}" if dim == "*" else SIZES[dim] if isinstance(dim, str) else dim for at, dim in enumerate(dims)
            )
            found.append(TensorSpec(name=tensor, dims=sizes, dtype=WHOLE.get(tensor, "float32")))
        sides.append(tuple(found))
    named = {dim for side in sides for tensor in side for dim in tensor.dims if isinstance(dim, str)}
    return NetworkSpec(
        name=name,
        inputs=sides[0],
        outputs=sides[1],
        ranges={dim: DimRange(min=1, opt=2, max=8) for dim in sorted(named)},
    )


def good_manifest() -> Manifest:
    records = {}
    for name in GRAPHS:
        key = key_of(name.encode())
        record = GraphRecord(
            name=name,
            key=key,
            spec=promise(name),
            precision="fp32",
            structure=key,
            parity={"max": 1e-5, "rms": 1e-6},
            flops={"call": 1000},
            built={"seconds": 1.0, "facts": {"parity": True}},
        )
        files = {record.main: {"sha256": key, "bytes": 10}, f"{record.main}.data": {"sha256": key, "bytes": 1000}}
        records[name] = GraphRecord.from_json(record.to_json() | {"files": files})
    graph = records["denoiser"]
    made = PlanRecord(
        name="denoiser",
        key=key_of(b"plan"),
        graph_key=graph.key,
        target_folder=TARGET.folder,
        attention={"count": 2, "fused": 1, "text": "1 of 2"},
        built={"seconds": 3.0, "peak_bytes": 2 << 30, "not_compared": "no GPU", "graph": graph.key},
    )
    engines = {TARGET.folder: EngineSet(target=TARGET, plans={"denoiser": made})}
    return replace(manifest_of(*records.values()), engines=engines)


GOOD = json.loads(json.dumps(good_manifest().to_json()))


def use(bundle: Bundle) -> None:
    """All that is done with a manifest before a network runs."""
    show(bundle, Console(file=io.StringIO(), width=100))
    json.dumps(summary(bundle), allow_nan=False)
    check_bundle(bundle)
    side = bundle.manifest.geometry["crop_px"]
    assert side * side * 3 * bundle.manifest.frames <= 1 << 30, "more than a GiB for one window"
    sampling_of(bundle.manifest.sampling, Profile(name="exact"))


def test_the_manifest_that_is_spoiled_below_is_good(tmp_path):
    use(Bundle(path=tmp_path, manifest=Manifest.from_json(GOOD)))


@fuzz(100)
@given(data=spoiled(GOOD))
def test_a_manifest_that_was_spoiled_is_used_or_refused(data, tmp_path):
    try:
        manifest = Manifest.from_json(data)
    except ValueError:
        return
    with refused_or_right():
        use(Bundle(path=tmp_path, manifest=manifest))


@fuzz(40)
@given(data=spoiled({name: GOOD[name] for name in GOOD if name != "graphs"} | {"graphs": {}}, most=1))
def test_a_plan_of_a_spoiled_bundle_is_made_or_refused(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    write(folder, data | ({"graphs": GOOD["graphs"]} if data.get("graphs") == {} else {}))
    with refused_or_right():
        plan(PredictConfig(gpu="H200", bundle=folder))


def write(folder, data) -> None:
    data["sha256"] = own_hash(data)
    (folder / "manifest.json").write_text(json.dumps(data))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_bundle(
        tmp_path_factory.mktemp("fuzz") / "bundle", stitch=b"stitch graph", denoiser=b"denoiser graph"
    ).path


@fuzz(150)
@given(data=st.data())
def test_a_folder_with_a_spoiled_manifest_is_opened_or_refused(folder, data):
    good = (folder / "manifest.json").read_bytes()
    write(folder, data.draw(spoiled(json.loads(good))))
    with refused_or_right():
        show(Bundle.open(folder), Console(file=io.StringIO(), width=100))
    (folder / "manifest.json").write_bytes(good)


@fuzz(150)
@given(data=st.data())
def test_a_file_of_a_bundle_with_other_bytes_is_noticed(folder, data):
    names = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    file = data.draw(st.sampled_from(names))
    before = file.read_bytes()
    file.write_bytes(data.draw(damaged(before)))
    with refused_or_right():
        Bundle.open(folder)
        assert file.read_bytes() == before or file.name == "manifest.json"  # whose white space does not count
    file.write_bytes(before)


@fuzz(100)
@given(content=st.one_of(spoiled(GOOD["graphs"]["motion"]).map(json.dumps), st.text()))
def test_a_record_of_a_killed_build_is_read_or_not_there(tmp_path, content):
    (tmp_path / "record.json").write_text(content, encoding="utf-8", errors="replace")
    record = read_record(tmp_path / "record.json")
    assert record is None or isinstance(record, GraphRecord | PlanRecord)
