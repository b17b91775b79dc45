"""What is opened for a profile: once, shared where two need it, and closed again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from engines.bundle import Bundle
from engines.cpu import find_cpu
from engines.engine_choice import EngineChoice
from engines.errors import BundleError, EngineMismatch, InputError
from engines.file_record import hash_file
from engines.plan_choice import Here
from hp_trt.config import RuntimeConfig
from hp_trt.hunyuanportrait.profiles import ADDED_BY, BESIDE, IN_BF16, STREAMED, find_profile, fitted, graphs, roles
from hp_trt.open_graphs import OpenGraphs, live_threads, open_backend, option_for
from tests.engines.bundles import CPU_TARGET, make_bundle, make_bundle_with_table, spec_of

EXACT, LIVE = find_profile("exact"), find_profile("live")


class Backend:
    """Counts what is open."""

    device = "CPU, 2 threads"
    calls = 1

    def __init__(self, *, concurrent: bool = False, has_bf16: bool = False) -> None:
        self.concurrent, self.has_bf16 = concurrent, has_bf16
        self.files: dict[tuple[str, bool], str] = {}  # graph and whether it is in bf16 -> the end of its file
        self.loaded: list[tuple[str, int | None]] = []  # graph, threads
        self.closed: list[str] = []
        self.shared: dict[str, int] = {}  # graph -> how many of its calls share the threads
        self.overlaps = False

    def overlap_decode(self):
        self.overlaps = True

    def prepare(self, path, content):
        pass

    def load(self, spec, path, weights=None, *, threads=None, calls=1, bf16=False):
        self.loaded.append((spec.name, threads))
        self.shared[spec.name] = calls
        self.files[spec.name, bf16] = path.suffix
        return SimpleNamespace(spec=spec, close=lambda: self.closed.append(spec.name))


def graphs_of(folder, *names: str, concurrent: bool = False, **config) -> tuple[OpenGraphs, Backend]:
    backend = Backend(concurrent=concurrent)
    bundle = make_bundle(folder, **{name: name.encode() for name in names})
    roles_of = {"streamed": STREAMED, "beside": BESIDE, "added_by": ADDED_BY}
    return OpenGraphs(bundle, RuntimeConfig(**config), backend, **roles_of), backend


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


def test_damaged_weights_are_refused_though_they_are_hashed_while_graphs_are_opened(tmp_path):
    opened, backend = graphs_of(tmp_path, *graphs(EXACT))
    weights = next(tmp_path.glob("onnx/motion-*/motion.onnx.data"))
    weights.write_bytes(weights.read_bytes()[::-1])
    for _ in range(2):  # nothing of the first time is used in the second
        with pytest.raises(BundleError, match=r"motion\.onnx\.data was changed: sha256"):
            opened.of(EXACT, roles(EXACT))
        assert opened.sessions == {}
    assert sorted(backend.closed) == sorted(name for name, _ in backend.loaded)
    assert len(backend.loaded) == 2 * len(graphs(EXACT))


def test_what_fails_for_damaged_weights_is_their_damage_and_else_is_itself(tmp_path, monkeypatch):
    opened, backend = graphs_of(tmp_path, *graphs(EXACT))

    def refused(*arguments, **options):
        raise EngineMismatch("it does not load")

    monkeypatch.setattr(backend, "load", refused)
    with pytest.raises(EngineMismatch, match="it does not load"):
        opened.of(EXACT, roles(EXACT))
    weights = next(tmp_path.glob("onnx/motion-*/motion.onnx.data"))
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"motion\.onnx\.data was changed: \d+ bytes"):
        opened.of(EXACT, roles(EXACT))


def test_a_damaged_graph_is_refused_before_anything_is_opened(tmp_path):
    opened, backend = graphs_of(tmp_path, *graphs(EXACT))
    graph = next(tmp_path.glob("onnx/motion-*/motion.onnx"))
    graph.write_bytes(graph.read_bytes()[::-1])
    with pytest.raises(BundleError, match=r"motion\.onnx was changed: sha256"):
        opened.of(EXACT, roles(EXACT))
    assert backend.loaded == []


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


def test_windows_and_chunks_of_a_clip_share_the_threads_and_those_of_a_live_session_do_not(tmp_path):
    opened, backend = graphs_of(tmp_path, *dict.fromkeys([*graphs(EXACT), *graphs(LIVE)]))
    backend.calls = 2
    opened.of(EXACT, roles(EXACT))
    assert {name for name, calls in backend.shared.items() if calls == 2} == {"denoiser", "vae_decoder"}
    assert opened.calls(EXACT, roles(EXACT)) == backend.shared
    backend.shared.clear()
    opened.of(LIVE, roles(LIVE))
    assert set(backend.shared.values()) == {1}


def test_a_session_is_replaced_for_a_while_in_whichever_way_it_was_opened(tmp_path):
    opened, backend = graphs_of(tmp_path, *graphs(EXACT))
    backend.calls = 2
    usual, other = opened.of(EXACT, roles(EXACT))["decoder"], SimpleNamespace()
    with opened.replaced(EXACT, roles(EXACT), "decoder", lambda session: other):
        assert opened.of(EXACT, roles(EXACT))["vae_decoder"] is other
    assert opened.of(EXACT, roles(EXACT))["decoder"] is usual


def test_half_of_the_threads_denoise_and_where_they_are_few_each_graph_has_all_of_them():
    promise = spec_of("x")
    denoiser, decoder = replace(promise, repeated=True), replace(promise, repeated=True, lane="decode")
    assert [live_threads(graph, 8) for graph in (denoiser, decoder, promise)] == [4, 2, 2]
    assert [live_threads(graph, 4) for graph in (denoiser, decoder, promise)] == [2, 1, 1]
    for few in (1, 2, 3):
        assert [live_threads(graph, few) for graph in (denoiser, decoder, promise)] == [few] * 3


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


BF16 = replace(EXACT, name="bf16", precision="bf16")
FASTER_IN_BF16 = EngineChoice(exported="onnxruntime", bf16="openvino-bf16")
OPENVINO = EngineChoice(exported="openvino", bf16="openvino-bf16")
AS_IT_IS = EngineChoice(exported="onnxruntime", bf16="onnxruntime")


@pytest.fixture
def of_table(tmp_path, monkeypatch):
    """Opens graphs of a bundle with such a table, for the family openvino."""

    def opened(has_bf16: bool = True, target=CPU_TARGET, **choices: EngineChoice) -> tuple[OpenGraphs, Backend]:
        here = Here(family="openvino", version=CPU_TARGET.version, device=find_cpu())
        monkeypatch.setattr("hp_trt.open_graphs.find_here", lambda family, index: here)
        table = {name: choices.get(name, AS_IT_IS) for name in graphs(EXACT)}
        bundle, backend = make_bundle_with_table(tmp_path, table, target), Backend(has_bf16=has_bf16)
        kind = SimpleNamespace(streamed=STREAMED, beside=BESIDE, added_by=ADDED_BY, in_bf16=IN_BF16)
        return OpenGraphs.of_model(kind, bundle, RuntimeConfig(family="openvino"), backend), backend

    return opened


def test_the_bundles_table_says_which_engine_opens_a_graph(of_table):
    opened, backend = of_table(denoiser=OPENVINO, vae_decoder=FASTER_IN_BF16, motion=OPENVINO)
    opened.of(EXACT, roles(EXACT))
    plans = {name for (name, bf16), suffix in backend.files.items() if suffix == ".plan" and not bf16}
    assert plans == {"denoiser", "motion"}
    assert {name for name, _ in backend.files} == set(graphs(EXACT))


def test_a_profile_in_bf16_has_its_own_denoiser_and_decoder_and_shares_what_sees_the_faces(of_table):
    opened, backend = of_table(denoiser=OPENVINO, vae_decoder=FASTER_IN_BF16, motion=OPENVINO)
    exact, half = opened.of(EXACT, roles(EXACT)), opened.of(BF16, roles(BF16))
    assert {name for name, bf16 in backend.files if bf16} == {"denoiser", "vae_decoder"}
    assert half["motion"] is exact["motion"] and half["denoiser"] is not exact["denoiser"]
    assert opened.of(BF16, roles(BF16)) == half
    assert opened.sessions["denoiser"] is exact["denoiser"]


def test_a_machine_without_bf16_refuses_it_before_a_graph_is_opened(of_table):
    opened, backend = of_table(has_bf16=False, denoiser=OPENVINO)
    with pytest.raises(
        EngineMismatch, match="profile bf16 is for bf16 products, and CPU, 2 threads has none; set prec"
    ):
        opened.of(BF16, roles(BF16))
    assert backend.loaded == []


def test_a_family_without_bf16_names_the_one_that_has_it(tmp_path):
    opened, backend = graphs_of(tmp_path, *graphs(EXACT))
    with pytest.raises(InputError, match='onnxruntime has none; set precision = "exported", or use --family openvino'):
        opened.of(BF16, roles(BF16))
    assert backend.loaded == []


def test_plans_of_another_openvino_are_refused_with_what_builds_them(of_table):
    opened, backend = of_table(target=replace(CPU_TARGET, version="2026.4.0"), denoiser=OPENVINO)
    with pytest.raises(EngineMismatch, match=r"built with openvino 2026\.4\.0, .*build them: .*--family openvino"):
        opened.of(EXACT, roles(EXACT))
    assert backend.loaded == []


def test_a_damaged_plan_of_openvino_is_refused_with_what_builds_it(of_table):
    opened, backend = of_table(denoiser=OPENVINO)
    plan = opened._bundle.manifest.engines[CPU_TARGET.folder].plans["denoiser"].main
    (opened._bundle.path / plan).write_bytes(b"nalp")
    with pytest.raises(BundleError, match=r"denoiser\.plan was changed: sha256 .*--family openvino"):
        opened.of(EXACT, roles(EXACT))
    assert "denoiser" not in dict(backend.loaded)
