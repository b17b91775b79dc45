"""The comparison after every export: it tries the sizes that tracing gets wrong, and it fails loudly."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from engines.errors import ParityError
from export.graphs.graph import Graph
from export.graphs.parity import check, expectations, run_network, sizes_of_an_export, sizes_to_try
from export.graphs.stitch import Stitch
from export.hunyuanportrait.graphs import bundle_graphs
from export.hunyuanportrait.presets import POCKET
from export.weights.random import load_random
from tests.export.tiny import TINY
from tests.fakes import FakeBackend


def graphs(half: bool = False) -> dict[str, Graph]:
    return bundle_graphs(TINY.architecture, size=16, frames=3, motion_px=32, half=half)


def stitched(**values: np.ndarray) -> np.ndarray:
    mean = np.einsum("tn,tncij->tcij", values["weights"], values["velocities"][values["slots"]])
    return (values["a"] * values["latents"] + values["b"] * mean).astype(np.float32)


@dataclass
class Compared:
    """A graph that is computed by numpy, off by `error` of its output's rms in one number."""

    error: float = 0.0
    at_total: int | None = None  # only for this size
    sizes: list[int] = field(default_factory=list)

    def check(self, graph: Graph, module: Any = None) -> dict[str, float]:
        backend = FakeBackend()

        def formula(**values):
            out, total = stitched(**values), len(values["velocities"])
            self.sizes.append(total)
            if self.error and self.at_total in (None, total):
                out.flat[7] += self.error * np.sqrt(np.mean(out**2))
            return {"next_latents": out}

        session = backend.session(graph.spec, formula)
        return check(graph, session, backend, expectations(graph, module or Stitch()))


def test_every_run_time_size_is_tried_at_its_ends_and_as_usual():
    denoiser = bundle_graphs(POCKET.architecture, size=128, frames=25, motion_px=128)["denoiser"]
    assert [sizes["rows"] for sizes in sizes_to_try(denoiser)] == [2, 1, 3]
    totals = [sizes["total"] for sizes in sizes_to_try(graphs()["stitch"])]
    assert totals[:2] == [6, 3]  # of windows of three frames
    assert max(totals) == 6  # not the millions that are allowed


def test_an_export_is_tried_where_it_was_not_traced():
    made = bundle_graphs(POCKET.architecture, size=128, frames=25, motion_px=128)
    assert [sizes["rows"] for sizes in sizes_of_an_export(made["denoiser"])] == [1, 3]
    for name in ("vae_decoder", "step_embedding", "stitch"):  # usual at an end, one end alone, two free dimensions
        assert sizes_of_an_export(made[name]) == sizes_to_try(made[name])


def test_a_right_graph_is_told_how_close_it_is():
    assert Compared().check(graphs()["stitch"])["max"] < 5e-6  # summation order alone
    worst = Compared(error=2e-6).check(graphs()["stitch"])
    assert 1e-6 < worst["max"] < 5e-6
    assert worst["rms"] <= worst["max"]


def test_a_wrong_number_is_found_and_named():
    with pytest.raises(ParityError, match=r"stitch disagrees .* max error .* of next_latents's rms at .* for fp32"):
        Compared(error=1e-3).check(graphs()["stitch"])


def test_an_error_at_one_size_alone_is_found():
    with pytest.raises(ParityError, match="'total': 3,"):
        Compared(error=1e-3, at_total=3).check(graphs()["stitch"])


def test_a_nan_is_never_close():
    with pytest.raises(ParityError, match="error nan"):
        Compared(error=math.nan).check(graphs()["stitch"])


def test_a_perturbed_weight_is_found(backend, tmp_path):
    import torch

    from export.graphs.trace import export_onnx
    from tests.export.hunyuanportrait.case_networks import CaseNetworks

    graph = graphs()["step_embedding"]
    module = graph.make(CaseNetworks(TINY.architecture, "")).eval()
    expected = expectations(graph, module)
    with torch.no_grad():
        module.add_embedding.linear_1.weight[3] *= 1.01
    export_onnx(module, graph.spec, graph.example(graph.opt_sizes()), tmp_path / "wrong.onnx")
    session = backend.load(graph.spec, tmp_path / "wrong.onnx")
    with pytest.raises(ParityError, match="step_embedding disagrees with its network"):
        check(graph, session, backend, expected)


@pytest.mark.parametrize("name", graphs())
def test_a_reference_runs_on_another_device_than_the_cpu(name):
    # "meta" has no numbers, and refuses tensors of the CPU as a GPU would: constants that a network makes itself.
    graph = graphs()[name]
    module = graph.make(lambda network: load_random(TINY.architecture.build(network))).to("meta")
    inputs = [tensor.to("meta") for tensor in graph.example(graph.opt_sizes()).values()]
    (output,) = run_network(module, inputs, "meta")
    assert output.device.type == "meta"
    assert [*output.shape[1:]] == [d for d in graph.spec.outputs[0].dims[1:] if isinstance(d, int)]
