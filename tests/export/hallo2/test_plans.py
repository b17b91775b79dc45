"""Plans of this model's graphs, really built by TensorRT for RTX on a CPU: all of a pocket bundle, the largest at full
size. What a build does besides is `tests/export/plans/test_plan.py`'s subject."""

from __future__ import annotations

import dataclasses
import json

import onnx
import pytest

import engines.trt_backend
from engines import families
from engines.bundle import Bundle
from engines.onnx_backend import OnnxBackend
from engines.plans import Target
from export.hallo2.graphs import ORDER, bundle_graphs
from export.hallo2.presets import HALLO2
from export.plans.attention import attention_line
from export.plans.build_memory import host_bytes
from export.plans.engine_parity import compare_engine, graph_of
from export.plans.plan import build_plan
from export.weights.source import RandomWeights
from tests.export.onnx_cache import OnnxCache
from tests.export.plans.parsed import parsed, promised

# Of the 16 places of a UNet: in space over the frame's own cells, in the conditional half over the reference's too, and
# over image tokens; over its own cells and the sound; twice along time. The reference net stops before the attentions
# of its last place; the conditional half alone has one less a place. The others: the layers of the speech encoder, and
# the middle of each half of the autoencoder.
ATTENTIONS = {
    "talk_denoiser": 16 * 7,
    "talk_denoiser_one": 16 * 6,
    "reference": 15 * 2,
    "speech_encoder": 4,
    "talk_vae_encoder": 1,
    "talk_vae_decoder": 1,
}
# No kernels are made for fp32, nor for a single head of a batch of one: pocket's, which asks the image tokens of the
# conditional half alone. Published are eight heads.
TAKEN_APART = {"speech_encoder": 4, "talk_vae_encoder": 1, "talk_denoiser_one": 16}


@pytest.fixture(scope="module")
def trt():
    return pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")


@pytest.fixture(scope="module")
def pocket(bundle_of) -> Bundle:
    """Every graph in half precision, as a build leaves them: three of them read one file of weights."""
    return Bundle.open(bundle_of(preset="talk_pocket", precision="fp16", parity=False), family="")


def target() -> Target:
    return Target(family=families.RTX.name, version="1.7.1.116", capabilities=("8.9",), platform="linux-x86_64")


def build(onnx_path, spec, out):
    return build_plan(families.RTX, spec=spec, onnx=onnx_path, out=out, target=target())


@pytest.mark.parametrize("name", ORDER)
def test_every_graph_of_a_pocket_bundle_builds_and_is_what_its_spec_promises(trt, pocket, cache, name):
    """Both denoisers take half a minute of a core each, so what was built of the same graph by the same code before,
    and was right, is not built again."""
    record, path = pocket.manifest.graphs[name], pocket.model_path(name)

    def make(folder):
        plan = folder / f"{name}.plan"
        report = build(path, record.spec, plan)
        assert parsed(trt, path) == (promised(record.spec.inputs), promised(record.spec.outputs))
        assert plan.stat().st_size > 0.9 * record.weights_bytes
        plan.unlink()
        (folder / "report.json").write_text(json.dumps(dataclasses.asdict(report)))

    facts = {"files": {file: known.sha256 for file, known in record.files.items()}, "version": trt.__version__}
    kept = cache.entry("plan", facts | {"spec": record.spec.to_json()}, make, code=("export/plans", "engines"))
    report = json.loads((kept / "report.json").read_text())

    structure = record.files[record.main].bytes
    assert report["peak_bytes"] < host_bytes(families.RTX, weights=record.weights_bytes, structure=structure)
    attention, apart = report["attention"], TAKEN_APART.get(name, 0)
    assert attention["count"] == ATTENTIONS.get(name, 0)
    assert attention["fused"] == attention["count"] - apart
    assert report["warnings"] == ([attention_line(attention)] if apart else [])
    # What may be written is named, and small: at most the speech encoder's minute, a head's 1600 positions squared.
    named = {node.name for node in onnx.load(path, load_external_data=False).graph.node if node.op_type == "Attention"}
    maps = attention["score_maps"]
    assert len(maps) == apart and {one["name"] for one in maps} <= named
    assert all(one["max_bytes"] < 11e6 for one in maps)


def test_an_engine_can_be_compared_with_each_of_these_graphs(pocket, monkeypatch):
    """On a GPU a build looks every graph up, for inputs to try; the engine here is ONNX Runtime again."""
    for record in pocket.manifest.graphs.values():
        assert graph_of(pocket.manifest, record).spec == record.spec
    monkeypatch.setattr(engines.trt_backend, "open_trt_backend", lambda family, **options: OnnxBackend(threads=1))
    path, record = pocket.model_path("bank_kv"), pocket.manifest.graphs["bank_kv"]
    found = compare_engine(pocket.manifest, record, target(), plan=path, onnx=path, reference=None, device_id=0)
    assert found == {"max": 0, "rms": pytest.approx(0, abs=1e-6)}


@pytest.mark.full_size
@pytest.mark.heavy
@pytest.mark.usefixtures("quick_weights")
@pytest.mark.parametrize("name", ["talk_denoiser", "reference"])
def test_the_full_size_unets_build_for_a_card_that_is_not_here(trt, cache, tmp_path, name):
    """16 frames after two, 512 pixels, every parameter random."""
    graphs = bundle_graphs(
        HALLO2.architecture,
        size=HALLO2.size,
        frames=HALLO2.frames,
        motion_frames=HALLO2.motion_frames,
        half=True,
    )
    graph, source = graphs[name], RandomWeights(HALLO2.architecture.build)
    onnx_cache = OnnxCache(cache, "hallo2")
    path = onnx_cache.path(
        graph.spec,
        "full size",
        lambda: graph.make(lambda network: HALLO2.architecture.load(network, source.state(network))).half(),
        lambda: graph.example(graph.opt_sizes()),
    )
    try:
        report = build(path, graph.spec, tmp_path / f"{name}.plan")
        weights, structure = path.with_name(path.name + ".data").stat().st_size, path.stat().st_size
    finally:
        onnx_cache.discard(path)
    assert weights <= (tmp_path / f"{name}.plan").stat().st_size < 1.1 * weights
    assert report.peak_bytes < host_bytes(families.RTX, weights=weights, structure=structure)
    (tmp_path / f"{name}.plan").unlink()
    assert (report.attention["fused"], report.attention["count"]) == (ATTENTIONS[name], ATTENTIONS[name])
    assert report.warnings == ()
