"""What is opened for a profile: once, shared where two need it, and closed again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from engines.bundle import Bundle
from engines.errors import BundleError, InputError
from engines.file_record import hash_file
from hp_trt.config import RuntimeConfig
from hp_trt.hunyuanportrait.profiles import ADDED_BY, STREAMED, find_profile, fitted, graphs, roles
from hp_trt.open_graphs import OpenGraphs, live_threads, open_backend, option_for
from tests.engines.bundles import make_bundle, spec_of

EXACT, LIVE = find_profile("exact"), find_profile("live")


class Backend:
    """Counts what is open."""

    def __init__(self, *, concurrent: bool) -> None:
        self.concurrent = concurrent
        self.loaded: list[tuple[str, int | None]] = []  # graph, threads
        self.closed: list[str] = []
        self.overlaps = False

    def overlap_decode(self):
        self.overlaps = True

    def load(self, spec, path, weights=None, *, threads=None):
        self.loaded.append((spec.name, threads))
        return SimpleNamespace(spec=spec, close=lambda: self.closed.append(spec.name))


def graphs_of(folder, *names: str, concurrent: bool = False, **config) -> tuple[OpenGraphs, Backend]:
    backend = Backend(concurrent=concurrent)
    bundle = make_bundle(folder, **{name: name.encode() for name in names})
    return OpenGraphs(bundle, RuntimeConfig(**config), backend, streamed=STREAMED, added_by=ADDED_BY), backend


def test_what_is_configured_reaches_the_backend(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("engines.trt_backend.open_trt_backend", lambda name, **options: asked.append((name, options)))
    open_backend(RuntimeConfig(family="tensorrt", device_id=1, weight_budget_bytes=5, overlap_decode=True), tmp_path)
    options = {"device_id": 1, "beside": tmp_path, "weight_budget_bytes": 5, "overlap_decode": True}
    assert asked == [("tensorrt", options)]


def test_profiles_share_what_both_need_and_all_of_it_is_closed_once(tmp_path):
    opened, backend = graphs_of(tmp_path, *dict.fromkeys([*graphs(EXACT), *graphs(LIVE)]))
    exact, live = opened.of(EXACT, roles(EXACT)), opened.of(LIVE, roles(LIVE))
    assert opened.of(EXACT, roles(EXACT)) == exact
    assert [name for name, _ in backend.loaded] == list(dict.fromkeys([*graphs(EXACT), *graphs(LIVE)]))
    assert exact["motion"] is live["motion"]
    assert live["denoiser"] is live[roles(LIVE)["denoiser"]]
    assert set(opened.sessions) == {*graphs(EXACT), *graphs(LIVE)}
    opened.close()
    opened.close()
    assert backend.closed == [name for name, _ in reversed(backend.loaded)]


def test_live_profiles_decode_beside_the_next_window(tmp_path):
    opened, backend = graphs_of(tmp_path, *dict.fromkeys([*graphs(EXACT), *graphs(LIVE)]))
    opened.of(EXACT, roles(EXACT))
    assert not backend.overlaps
    opened.of(LIVE, roles(LIVE))
    assert backend.overlaps


def test_stages_that_run_beside_each_other_have_sessions_and_threads_to_themselves(tmp_path):
    opened, backend = graphs_of(tmp_path, *dict.fromkeys([*graphs(EXACT), *graphs(LIVE)]), concurrent=True, threads=8)
    exact, live = opened.of(EXACT, roles(EXACT)), opened.of(LIVE, roles(LIVE))
    assert exact["motion"] is opened.sessions["motion"] is not live["motion"]
    beside = {graph for role, graph in roles(LIVE).items() if role in STREAMED}
    threads = dict(backend.loaded[len(graphs(EXACT)) :])
    assert threads == {name: live_threads(spec_of(name), 8) for name in beside}


def test_half_of_the_threads_denoise_and_no_graph_has_none():
    promise = spec_of("x")
    denoiser, decoder = replace(promise, repeated=True), replace(promise, repeated=True, lane="decode")
    assert [live_threads(graph, 8) for graph in (denoiser, decoder, promise)] == [4, 2, 2]
    assert live_threads(promise, 1) == 1


@pytest.mark.usefixtures("no_onnx_runtime")
def test_threads_are_shared_out_without_onnx_runtime_too():
    assert live_threads(spec_of("x"), None) >= 1


def test_a_graph_that_the_bundle_lacks_is_named_with_the_command_that_builds_it(tmp_path):
    opened, backend = graphs_of(tmp_path, *graphs(EXACT))
    with pytest.raises(BundleError, match=r"has no graph live_denoiser, which this profile needs; .* --live"):
        opened.of(LIVE, roles(LIVE))
    assert backend.loaded == []


def test_a_small_decoder_that_was_asked_for_by_name_is_refused_with_what_makes_one(tmp_path):
    opened, backend = graphs_of(tmp_path, *graphs(EXACT), "live_denoiser", "live_stitch")
    asked = replace(LIVE, decoder="tiny")
    with pytest.raises(BundleError, match=r"no graph tiny_decoder, .* --live-weights FILE, which python -m export"):
        opened.of(asked, roles(asked))
    assert backend.loaded == []
    whole = fitted(LIVE, {"live_denoiser"})
    assert opened.of(whole, roles(whole))["decoder"].spec.name == "vae_decoder"


@pytest.mark.parametrize(
    ("graph", "option"), [("denoiser_int8", "--quantize int8"), ("live_stitch", "--live"), ("motion", "")]
)
def test_what_adds_a_graph_to_a_bundle_is_known_by_its_name(graph, option):
    assert option_for(graph, ADDED_BY) == option


def test_products_that_a_family_lacks_are_refused_before_a_graph_is_opened(tmp_path):
    opened, backend = graphs_of(tmp_path, *graphs(EXACT))
    with pytest.raises(InputError, match="the profile exact is for fp8 products, onnxruntime has none"):
        opened.of(replace(EXACT, quantize="fp8"), roles(EXACT))
    assert backend.loaded == []


def test_what_is_opened_is_hashed_once_and_nothing_else_is_read(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr("engines.checked_files.hash_file", lambda path: read.append(path.name) or hash_file(path))
    everything = dict.fromkeys([*graphs(EXACT), *graphs(LIVE)])
    make_bundle(tmp_path, **{name: name.encode() for name in everything})
    bundle = Bundle.open(tmp_path, family="onnxruntime")
    assert read == []
    opened = OpenGraphs(bundle, RuntimeConfig(), Backend(concurrent=False), streamed=STREAMED, added_by=ADDED_BY)
    opened.of(EXACT, roles(EXACT))
    opened.of(EXACT, roles(EXACT))
    assert sorted(read) == sorted(path.rsplit("/", 1)[1] for n in graphs(EXACT) for path in bundle.graph(n).files)


def test_a_damaged_graph_is_refused_when_a_profile_needs_it_and_not_before(tmp_path):
    opened, backend = graphs_of(tmp_path, *dict.fromkeys([*graphs(EXACT), *graphs(LIVE)]))
    [name] = {roles(LIVE)["denoiser"]} - set(graphs(EXACT))
    file = next((tmp_path / "onnx").glob(f"{name}-*")) / f"{name}.onnx"
    file.write_bytes(bytes(file.stat().st_size))
    opened.of(EXACT, roles(EXACT))
    with pytest.raises(BundleError, match=f"{name}.onnx was changed: sha256 .* rebuild it: "):
        opened.of(LIVE, roles(LIVE))
    assert name not in [loaded for loaded, _ in backend.loaded]
