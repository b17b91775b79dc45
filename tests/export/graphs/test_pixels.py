"""Pixels and sums as graphs compute them, on what runs graphs here, against the formula in numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engines.onnx_backend import OnnxBackend
from engines.openvino_backend import OpenVinoBackend
from export.graphs.graph import Graph, spec, tensor
from export.graphs.parity import check, expectations
from export.graphs.pixels import WithPixels, decoder_outputs
from export.graphs.trace import export_onnx
from runtime.decode import to_uint8

H, W = 16, 32
PROMISE = spec("shown", [tensor("latents", "chunk", 3, H, W)], decoder_outputs((H, W)), chunk=(1, 2, 8))


class Turned(nn.Module):
    """A decoder whose frames are its latents, with the other sign."""

    def forward(self, latents: Tensor) -> Tensor:
        return -latents


@pytest.fixture(scope="module", params=["onnxruntime", "openvino", "openvino in bf16"])
def session(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("shown") / "shown.onnx"
    export_onnx(WithPixels(Turned()).eval(), PROMISE, {"latents": torch.zeros(2, 3, H, W)}, path)
    if request.param == "onnxruntime":
        return OnnxBackend(threads=1).load(PROMISE, path)
    backend, bf16 = OpenVinoBackend(threads=1), "bf16" in request.param
    if bf16 and not backend.has_bf16:
        pytest.skip("this CPU has no bf16")
    backend.compile(path, path.with_suffix(".plan"))
    return backend.load(PROMISE, path.with_suffix(".plan"), bf16=bf16)


def frames() -> np.ndarray:
    """Every level and what is beside it, white, black and what lies beyond."""
    levels = (np.arange(256, dtype=np.float32) / 255 - np.float32(0.5)) * 2
    near = [levels, np.nextafter(levels, np.float32(2)), np.nextafter(levels, np.float32(-2))]
    rest = np.random.default_rng(0).uniform(-1.5, 1.5, (2, 3, H, W)).astype(np.float32)
    return np.concatenate([np.concatenate(near * 2).reshape(1, 3, H, W), rest, 1e30 * rest[:1]])


def test_pixels_have_the_bits_of_the_formula_at_every_level_and_beside_it(session):
    given = frames()
    made = session.run({"latents": -given})
    np.testing.assert_array_equal(made["pixels"], [*map(to_uint8, made["frames"])])
    if np.array_equal(made["frames"], given):  # no product is rounded: there is none
        np.testing.assert_array_equal(made["pixels"], [*map(to_uint8, given)])
    # 1536 additions in float32, of values of one sign
    np.testing.assert_allclose(made["sums"], np.abs(made["frames"].astype(float)).sum((1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_none_shows_in_the_sum_of_its_frame_and_in_no_other(session, bad):
    given = frames()[:3]
    given[1, 2, 15, 31] = bad
    given[1, 0, 0, 0] = -bad
    made = session.run({"latents": given}, {"sums": np.empty(3, np.float32)})
    assert np.isfinite(made["sums"]).tolist() == [True, False, True]


def test_a_pixel_at_a_level_may_fall_to_either_side_and_no_further(tmp_path):
    """Parity: frames that differ in their last bits are other pixels, by one level."""
    backend, latents = OnnxBackend(threads=1), torch.zeros(2, 3, H, W)
    graph = Graph(spec=PROMISE, networks=(), make=lambda networks: WithPixels(Turned()))
    path = tmp_path / "shown.onnx"
    export_onnx(WithPixels(Turned()).eval(), PROMISE, {"latents": latents}, path)
    expected = expectations(graph, WithPixels(Turned()))
    one_off = [replace(e, outputs=(e.outputs[0], (e.outputs[1] - 1).clip(0), e.outputs[2])) for e in expected]
    assert check(graph, backend.load(PROMISE, path), backend, one_off)["max"] < 1e-6
    two_off = [replace(e, outputs=(e.outputs[0], (e.outputs[1] - 2).clip(0), e.outputs[2])) for e in expected]
    with pytest.raises(Exception, match=r"max error .* of pixels's rms"):
        check(graph, backend.load(PROMISE, path), backend, two_off)
