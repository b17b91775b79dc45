"""What the graphs of an enhancer's bundle promise, and that they compute what their networks do at any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engines.onnx_backend import OnnxBackend
from export.enhancer.architecture import NETWORKS, Architecture
from export.enhancer.graphs import bundle_graphs
from export.enhancer.networks.config import UpscalerConfig
from export.enhancer.presets import ENHANCER, ENHANCER_TINY
from export.graphs.flops import graph_flops
from export.graphs.graph import Graph
from export.graphs.parity import precision_of
from export.weights.random import load_random
from runtime.enhancer.presets import HALF
from tests.export.onnx_cache import OnnxCache, OnnxSession
from tests.golden_cases import HALLO2_FOLDER, check, golden_cases, load_case

NETWORK = 1e-4  # as of the networks themselves
PLACES = "2*height/8*width/8 + 2*height/16*width/16 + 2*height/32*width/32"


@pytest.fixture(scope="module")
def exports(cache) -> OnnxCache:
    return OnnxCache(cache, "enhancer")


def exported(graph: Graph, architecture: Architecture, exports: OnnxCache, backend: OnnxBackend) -> OnnxSession:
    (network,) = graph.networks
    sizes = {name: max(size, 2) for name, size in graph.opt_sizes().items()}
    return exports.session(
        backend,
        graph.spec,
        architecture.facts(network),
        lambda: graph.make(lambda name: load_random(architecture.build(name))),
        lambda: graph.example(sizes),
    )


def test_the_published_promises_are_those_that_were_agreed_on():
    specs = {name: graph.spec for name, graph in bundle_graphs(ENHANCER.architecture, NETWORKS).items()}
    dims = {name: {t.name: t.dims for t in (*spec.inputs, *spec.outputs)} for name, spec in specs.items()}
    assert dims == {
        "enhance_upscaler": {
            "picture": (1, 3, "height", "width"),
            "enlarged": (1, 3, "2*height", "2*width"),
        },
        "enhance_restorer": {
            "faces": ("frames", 3, 512, 512),
            "fidelity": (1,),
            "restored": ("frames", 3, 512, 512),
        },
        "enhance_parser": {"face": ("frames", 3, 512, 512), "logits": ("frames", 19, 512, 512)},
        "enhance_detector": {
            "picture": (1, 3, "height", "width"),
            "loc": (1, PLACES, 4),
            "confidence": (1, PLACES, 2),
            "landmark_offsets": (1, PLACES, 10),
        },
    }
    assert {t.dtype for spec in specs.values() for t in (*spec.inputs, *spec.outputs)} == {"float32"}
    assert specs["enhance_restorer"].ranges["frames"].max == 16
    assert specs["enhance_upscaler"].ranges["height"].min == 16


def test_the_tiny_preset_has_the_published_promises():
    tiny, full = (bundle_graphs(p.architecture, NETWORKS) for p in (ENHANCER_TINY, ENHANCER))
    assert {name: graph.spec for name, graph in tiny.items()} == {name: graph.spec for name, graph in full.items()}


def test_what_chooses_codes_and_what_finds_faces_stays_in_full_precision():
    made = bundle_graphs(ENHANCER.architecture, NETWORKS, half=True)
    assert {name for name, graph in made.items() if graph.half} == HALF
    assert precision_of(made["enhance_restorer"]) == "codes"


def test_arithmetic_is_counted_of_a_pixel_and_of_a_frame():
    """SPEC 11: a picture of 512 pixels in one piece takes 2.35 TFLOP to enlarge, a frame 0.82 to restore, 0.47 to
    parse."""
    made = bundle_graphs(ENHANCER.architecture, NETWORKS)
    flops = {name: graph_flops(graph, ENHANCER.architecture.build)["call"] for name, graph in made.items()}
    assert flops["enhance_upscaler"] * 512**2 == pytest.approx(2.35e12, rel=0.01)
    assert flops["enhance_restorer"] == pytest.approx(0.82e12, rel=0.01)
    assert flops["enhance_parser"] == pytest.approx(0.47e12, rel=0.01)


@golden_cases(kind="network", targets=["upscaler"], folder=HALLO2_FOLDER)
def test_the_exported_upscaler_matches_its_golden_case(case_name, exports, backend):
    case = load_case(case_name, HALLO2_FOLDER)
    architecture = Architecture(upscaler=UpscalerConfig(**case.config))
    graph = bundle_graphs(architecture, ["upscaler"])["enhance_upscaler"]
    session = exported(graph, architecture, exports, backend)
    made = session.run({"picture": backend.upload(case.inputs["picture"][None])})
    check(case, {"picture": backend.download(made["enlarged"])[0]}, NETWORK)


@pytest.mark.parametrize("size", [(32, 33), (65, 98), (96, 64)])
@torch.no_grad()
def test_the_exported_detector_takes_pictures_of_any_size_and_promises_as_many_places(size, exports, backend):
    graph = bundle_graphs(ENHANCER_TINY.architecture, ["detector"])["enhance_detector"]
    session = exported(graph, ENHANCER_TINY.architecture, exports, backend)
    picture = np.random.default_rng(0).uniform(-123, 151, (1, 3, *size)).astype(np.float32)
    made = session.run({"picture": backend.upload(picture)})
    network = load_random(ENHANCER_TINY.architecture.build("detector"))
    for name, expected in zip(
        ("loc", "confidence", "landmark_offsets"), network(torch.from_numpy(picture)), strict=True
    ):
        found = backend.download(made[name])
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=5e-5 * float(expected.std()), rtol=1e-4)
