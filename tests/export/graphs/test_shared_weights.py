"""A denoiser in two parts has its weights once on the disk, and makes the clip that the one in one part makes."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest

import export.graphs.shared_weights
from engines.bundle import Bundle
from engines.manifest import build_command
from engines.onnx_backend import OnnxBackend
from export.build import BuildConfig, build_bundle
from export.graphs.shared_weights import share_weights
from runtime.hunyuanportrait.memory_bank import Identity
from runtime.hunyuanportrait.sampling import Sampling
from tests.export.tiny import TINY
from tests.runtime.hunyuanportrait.released_order import denoise

pytestmark = pytest.mark.xdist_group("tiny-build")

PARTS = ("denoiser_inner", "denoiser_outer")


@pytest.fixture(scope="module")
def cut(tiny_preset, tiny_bundle, tmp_path_factory) -> Bundle:
    """The tiny bundle with the denoiser in two parts beside the one. Their export takes half a minute."""
    path = tmp_path_factory.mktemp("cut") / "bundle"
    shutil.copytree(tiny_bundle.path, path)
    return build_bundle(BuildConfig(preset=tiny_preset, bundle=path, reuse=True))


def folder(bundle: Bundle, name: str):
    return bundle.path / bundle.manifest.graphs[name].folder


def test_the_parts_read_the_denoisers_own_file(cut):
    of_denoiser = folder(cut, "denoiser") / "denoiser.onnx.data"
    whole = cut.manifest.graphs["denoiser"].weights_bytes
    own = 0
    for name in PARTS:
        linked = folder(cut, name) / "denoiser.onnx.data"
        assert linked.samefile(of_denoiser)
        own += sum(f.stat().st_size for f in folder(cut, name).glob(f"{name}.onnx.data"))
        assert cut.manifest.graphs[name].weights_bytes > 0
    # Constants of the graph's form that the exporter folds differently; the networks' own weights are all shared.
    assert own < 0.05 * whole
    inner, outer = (cut.manifest.graphs[name].weights_bytes for name in PARTS)
    assert outer < inner < whole


def test_a_bundle_with_the_parts_opens_and_is_built_again_by_its_own_words(cut):
    assert set(PARTS) <= set(Bundle.open(cut.path).manifest.graphs)
    assert " --reuse" in build_command(cut.path, cut.manifest.to_json())
    steps = []
    build_bundle(BuildConfig(preset=TINY.name, bundle=cut.path, reuse=True), lambda p: steps.append((p.graph, p.step)))
    assert all(step == "reuse" for _, step in steps)


def test_a_copy_of_the_bundle_without_links_is_as_good(cut, tmp_path):
    copied = shutil.copytree(cut.path, tmp_path / "copy")
    assert set(PARTS) <= set(Bundle.open(copied).manifest.graphs)


def test_where_there_are_no_links_the_file_is_copied(cut, tmp_path, monkeypatch):
    def no_links(source, target):
        raise OSError("no hard links here")

    monkeypatch.setattr(export.graphs.shared_weights.os, "link", no_links)
    owner, part = tmp_path / "owner.onnx", tmp_path / "part" / "part.onnx"
    part.parent.mkdir()
    shared, own = np.arange(600, dtype=np.float32), np.ones(500, np.float32)
    _save(owner, {"a": shared})
    _save(part, {"b": shared, "c": own})
    assert share_weights(part, owner) == shared.nbytes + own.nbytes
    assert (part.parent / "owner.onnx.data").read_bytes() == (tmp_path / "owner.onnx.data").read_bytes()
    read = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(part).graph.initializer}
    np.testing.assert_array_equal(read["b"], shared)
    np.testing.assert_array_equal(read["c"], own)


def test_a_graph_that_shares_nothing_stays_as_it_is(tmp_path):
    owner, part = tmp_path / "owner.onnx", tmp_path / "part" / "part.onnx"
    part.parent.mkdir()
    _save(owner, {"a": np.arange(600, dtype=np.float32)})
    _save(part, {"b": np.arange(600, dtype=np.int32)})  # other numbers, and other ones for the same bits
    before = {p.name: p.read_bytes() for p in part.parent.iterdir()}
    assert share_weights(part, owner) == 2400
    assert {p.name: p.read_bytes() for p in part.parent.iterdir()} == before


def test_a_clip_of_two_parts_with_fresh_features_is_the_exact_one_and_reuse_is_another(cut):
    exact = clip(cut, {"denoiser": "denoiser"}, deep_every=1)
    parts = {"inner": "denoiser_inner", "denoiser": "denoiser_outer"}
    fresh, reused = clip(cut, parts, deep_every=1), clip(cut, parts, deep_every=3)
    scale = np.sqrt(np.mean(exact**2))
    assert np.abs(fresh - exact).max() < 5e-5 * scale  # float32, two orders of summation, three steps
    assert np.abs(reused - exact).max() > 1e-3 * scale


def clip(bundle: Bundle, roles: dict[str, str], *, deep_every: int) -> np.ndarray:
    """Latents of five frames of random conditions: two windows that slide."""
    backend, rng = OnnxBackend(threads=1), np.random.default_rng(0)
    roles = {"step_embedding": "step_embedding", "stitch": "stitch", **roles}
    sessions = {r: backend.load(bundle.spec(g), bundle.model_path(g)) for r, g in roles.items()}
    shape = {t.name: t.dims for t in bundle.spec("denoiser").inputs}
    cell = shape["latents"][1:]

    def normal(*dims: int) -> np.ndarray:
        return rng.standard_normal(dims, dtype=np.float32)

    identity = Identity(
        image_tokens=normal(1, *shape["image_tokens"][1:]),
        image_latents=normal(1, *cell),
        start_latents=normal(1, *cell),
    )
    return denoise(
        backend,
        sessions,
        identity=identity,
        motion_tokens=normal(5, *shape["motion_tokens"][2:]),
        noise=normal(5, *cell),
        sampling=Sampling(steps=3, window=3, overlap=1, shift=1, deep_every=deep_every),
    )


def _save(path, tensors) -> None:
    graph = onnx.helper.make_graph([], "g", [], [], [onnx.numpy_helper.from_array(v, k) for k, v in tensors.items()])
    onnx.save(
        onnx.helper.make_model(graph), path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=0
    )
