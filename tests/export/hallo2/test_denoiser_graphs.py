"""The graphs of the UNets as a bundle has them, of two levels: their promise, parity, weights and attention."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from engines import families
from engines.plans import PlanOptions, Target
from export.graphs.graph import Graph
from export.graphs.parity import check, expectations
from export.graphs.shared_weights import share_weights
from export.hallo2.denoiser_graphs import denoiser_graphs
from export.hallo2.networks.config import UNetConfig
from export.plans.attention import find_attention
from export.plans.plan import build_plan
from tests.export.hallo2.case_unets import unet_of
from tests.export.onnx_cache import OnnxCache

CONFIG = UNetConfig(
    channels=(32, 64), heads=1, layers_per_block=1, image_token_dim=24, audio_token_dim=20, groups=8, motion_heads=1
)
NAMES = ("reference", "talk_steps", "talk_denoiser", "talk_denoiser_one", "bank_kv")


def graphs(*, half: bool = False, frames: int = 3, motion_frames: int = 2, latent=(4, 8)) -> dict[str, Graph]:
    sizes = {"latent": latent, "frames": frames, "motion_frames": motion_frames}
    return denoiser_graphs(CONFIG, CONFIG, **sizes, audio_tokens=5, image_tokens=3, half=half)


@pytest.fixture(scope="module")
def exported(cache):
    """(name, half) to the ONNX file of a graph with random weights. Read only."""
    onnx_cache = OnnxCache(cache, "hallo2")

    def exported(name: str, *, half: bool = False) -> tuple[Graph, Path]:
        graph = graphs(half=half)[name]

        def make():
            module = graph.make(lambda network: unet_of(network, CONFIG)).eval()
            return module.half() if graph.half else module

        sizes = {dim: max(size, 2) for dim, size in graph.opt_sizes().items()}
        facts = ["denoiser graphs", [*CONFIG.channels], graph.half]
        return graph, onnx_cache.path(graph.spec, facts, make, lambda: graph.example(sizes))

    return exported


@pytest.mark.parametrize("name", NAMES)
def test_every_graph_computes_what_its_network_does_at_all_sizes(name, exported, backend):
    for half in (False, True) if name != "talk_steps" else (False,):
        graph, path = exported(name, half=half)
        expected = expectations(graph, graph.make(lambda network: unet_of(network, CONFIG)).eval())
        session = backend.load(graph.spec, path)
        assert check(graph, session, backend, expected)["max"] < (0.2 if half else 5e-5)


def test_the_others_read_the_weights_of_the_denoiser(exported, tmp_path):
    copies = {}
    for name in ("talk_denoiser", "talk_denoiser_one", "bank_kv"):
        path = exported(name, half=True)[1]
        copies[name] = Path(shutil.copytree(path.parent, tmp_path / name)) / path.name
        assert graphs(half=True)[name].shares == ("" if name == "talk_denoiser" else "talk_denoiser")
    for name in ("talk_denoiser_one", "bank_kv"):
        share_weights(copies[name], copies["talk_denoiser"])
        own = copies[name].with_name(f"{name}.onnx.data")
        assert not own.exists(), f"{name} keeps {own.stat().st_size} bytes of its own"


def test_every_attention_is_one_operator_with_a_kernel(exported):
    """Three an audio transformer's cross-attention are one; the unconditional half asks its own frame apart."""
    places = len(CONFIG.places)
    for name, count in {
        "talk_denoiser": 7 * places,
        "talk_denoiser_one": 6 * places,
        "reference": 2 * places - 2,
    }.items():
        graph, path = exported(name, half=True)
        found = find_attention(path, graph.spec)
        assert len(found) == count
        apart = [a for a in found if a.kind != "fused"]
        # One head of a batch of one: the cells of all frames of one half ask its image tokens, which are few.
        assert len(apart) == (places if name == "talk_denoiser_one" else 0)
        assert all(a.kind == "decomposable" and a.max[-1] == 3 for a in apart)


def test_the_graph_moves_and_splits_as_little_as_it_can(exported):
    """A transposition before and behind each of three transformers, and four around the three heads of the audio's."""
    places, banks = len(CONFIG.places), len(CONFIG.banks)
    model = onnx.load(exported("talk_denoiser", half=True)[1], load_external_data=False)
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds["Transpose"] == 10 * places + 2 * banks  # a bank's motion features and masks; one head needs no other
    assert kinds["Split"] == 4 * places  # q, k, v and the heard half
    assert kinds["Softmax"] == 0
    weights = {tensor.name for tensor in model.graph.initializer}
    moved = [node for node in model.graph.node if node.op_type in ("Transpose", "Split") and node.input[0] in weights]
    assert not moved, "a weight that is turned or cut at run time"


def test_the_promise_is_the_bundles():
    promised = graphs(half=True)
    assert set(promised) == set(NAMES)
    assert [name for name, graph in promised.items() if not graph.half] == ["talk_steps"]
    both, one = promised["talk_denoiser"].spec, promised["talk_denoiser_one"].spec
    groups = [f"{kind}_{i}" for kind in ("mask", "key", "value", "motion") for i in range(2)]
    before = ["latents", "step_embedding", "image_tokens", "audio_tokens", "face_features"]
    assert [t.name for t in both.inputs] == [*before, *groups, "motion_scale", "row_weights"]
    assert [t.name for t in one.inputs] == [*before, *groups, "motion_scale"]
    assert both.input("motion_0").dims == (3, 4, 32, 32) and one.input("motion_0").dims == (3, 2, 32, 32)
    assert both.input("key_1").dims == (1, 2, 8, 64) and both.input("key_1").dtype == "float16"
    assert both.input("mask_1").dims == (3, 8) and both.input("mask_1").dtype == "float32"
    assert both.repeated and one.repeated
    assert promised["reference"].spec.unit == "rows" and promised["reference"].spec.ranges["rows"].max == 6
    kv = promised["bank_kv"].spec
    assert [t.name for t in kv.outputs] == ["key_0", "key_1", "value_0", "value_1"]
    for tensor in kv.outputs:
        assert both.input(tensor.name) == tensor
    for i in range(2):
        rows = replace(promised["reference"].spec.output(f"bank_{i}"), dims=kv.input(f"bank_{i}").dims)
        assert kv.input(f"bank_{i}") == rows


def test_a_net_that_knows_moods_is_told_of_one_before_the_weights_of_the_halves():
    config = replace(CONFIG, moods=6)
    sizes = {"latent": (4, 8), "frames": 3, "motion_frames": 2, "audio_tokens": 5, "image_tokens": 3}
    plain, promised = (denoiser_graphs(CONFIG, net, **sizes, half=True) for net in (CONFIG, config))
    for name in NAMES:
        names = [tensor.name for tensor in plain[name].spec.inputs]
        if "denoiser" in name:
            names.insert(names.index("motion_scale") + 1, "mood")
            mood = promised[name].spec.input("mood")
            assert (mood.dims, mood.dtype) == ((1, 6), "float32")
            example = promised[name].example({})["mood"]
            assert example.min() >= 0 and example.max() <= 1
        assert [tensor.name for tensor in promised[name].spec.inputs] == names


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"latent": (4, 5)}, "latents of 4 x 5 cells: the UNets halve them 1 times; choose .* a multiple of 2"),
        ({"frames": 31}, "2 motion frames before 31 of a clip: .* 32 positions .*; choose fewer frames"),
        ({"motion_frames": 0}, "0 motion frames before 3 of a clip: motion modules need at least one of each"),
    ],
)
def test_sizes_that_the_networks_cannot_take_say_what_to_do(sizes, message):
    with pytest.raises(ValueError, match=message):
        graphs(**sizes)


def test_a_half_that_is_not_wanted_has_no_part_in_the_velocity(exported, backend):
    graph, path = exported("talk_denoiser")
    session = backend.load(graph.spec, path)
    given = {name: t.numpy() for name, t in graph.example({}).items()}

    def v(weights) -> np.ndarray:
        made = session.run({n: backend.upload(a) for n, a in {**given, "row_weights": weights}.items()})
        return backend.download(made["velocity"])

    first, second = (v(np.eye(2, dtype=np.float32)[half]) for half in range(2))
    assert np.abs(first - second).max() > 0.1
    guided = v(np.array([-2.5, 3.5], np.float32))
    assert np.allclose(guided, 3.5 * second - 2.5 * first, atol=1e-5)  # float32's rounding of numbers up to 10


@pytest.mark.parametrize("name", ["reference", "talk_denoiser", "talk_denoiser_one", "bank_kv"])
def test_tensorrt_for_rtx_builds_it_with_fused_attention(name, exported, tmp_path):
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    graph, path = exported(name, half=True)
    target = Target(
        family=families.RTX.name,
        version="1.7.1.116",
        capabilities=("8.9",),
        platform="linux-x86_64",
        options=PlanOptions(),
    )
    report = build_plan(families.RTX, spec=graph.spec, onnx=path, out=tmp_path / "a.plan", target=target)
    fused, found = report.attention["fused"], report.attention["count"]
    assert fused == (found - len(CONFIG.places) if name == "talk_denoiser_one" else found)
    assert len(report.attention["score_maps"]) == found - fused  # each of them named
