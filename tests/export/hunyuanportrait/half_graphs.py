"""The graphs of a preset in half precision, of its own weights where it has some: a bundle has the same."""

from __future__ import annotations

from export.graphs.graph import Graph
from export.hunyuanportrait.graphs import bundle_graphs
from export.hunyuanportrait.presets import POCKET, Preset
from export.hunyuanportrait.weights import open_source
from export.weights.own import OWN_WEIGHTS
from tests.export.onnx_cache import OnnxCache

NAMES = ("appearance", "motion", "vae_encoder", "step_embedding", "denoiser", "stitch", "vae_decoder")


def half_graphs(preset: Preset = POCKET) -> dict[str, Graph]:
    return bundle_graphs(
        preset.architecture, size=preset.size, frames=preset.frames, motion_px=preset.motion_px, half=True
    )


def half_onnx(cache: OnnxCache, name: str, preset: Preset = POCKET):
    """The ONNX file of a graph, as a build exports it; no parity. Of a preset that has no weights, random ones."""
    graph, weights = half_graphs(preset)[name], OWN_WEIGHTS.get(preset.name)
    source = open_source(preset.architecture, weights, preset=preset.name)

    def make():
        module = graph.make(lambda network: preset.architecture.load(network, source.state(network)))
        return module.eval().half() if graph.half else module

    sizes = {dim: max(size, 2) for dim, size in graph.opt_sizes().items()}
    facts = {"preset": preset.name, "half": graph.half, "size": preset.size, "frames": preset.frames}
    facts["weights"] = {network: source.fingerprint(network) for network in graph.networks}
    return cache.path(graph.spec, facts, make, lambda: graph.example(sizes))
