"""Runtime on plans: it takes those that fit this GPU, verified, and says in one line why it takes none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import hp_trt.api
import hp_trt.open_graphs
from engines.bundle import Bundle
from engines.errors import BundleError, EngineMismatch, InputError
from engines.gpu import Gpu
from engines.plan_choice import Here
from engines.plans import PlanOptions
from hp_trt.api import Runtime
from hp_trt.config import RuntimeConfig
from hp_trt.hunyuanportrait.model import HunyuanPortrait
from hp_trt.hunyuanportrait.profiles import find_profile, graphs
from tests.engines.bundles import TARGET, make_bundle, make_bundle_with_plans

GPU = Gpu(index=0, name="NVIDIA RTX 4090", capability="8.9", total_bytes=24 << 30, driver_cuda=(13, 0))
CONFIG = RuntimeConfig(family="tensorrt-rtx")
GRAPHS = graphs(find_profile("exact"))
CONTENTS = {name: name.encode() for name in GRAPHS}


class Opened:
    """A backend that only tells what it was asked to open, and what was closed."""

    concurrent = False
    calls = 1

    def __init__(self) -> None:
        self.loaded: dict[str, tuple] = {}
        self.contents: dict[Path, bytes] = {}
        self.closed: list[str] = []

    def prepare(self, path, content):
        self.contents[path] = bytes(content)

    def load(self, spec, path, weights=None, *, threads=None, calls=1, bf16=False):
        self.loaded[spec.name] = (path, weights)
        return SimpleNamespace(spec=spec, close=lambda: self.closed.append(spec.name))

    def close(self) -> None:
        self.closed.append("backend")


@pytest.fixture(autouse=True)
def any_bundle(monkeypatch) -> None:
    """Graphs of these bundles are any bytes, which no model can work with."""
    monkeypatch.setattr(HunyuanPortrait, "check_bundle", staticmethod(lambda bundle: None))


@pytest.fixture
def backend(monkeypatch) -> Opened:
    opened = Opened()
    monkeypatch.setattr(hp_trt.api, "open_backend", lambda config, bundle: opened)
    here = Here(family=TARGET.family, version=TARGET.version, device=GPU)
    monkeypatch.setattr(hp_trt.open_graphs, "find_here", lambda family, index: here)
    return opened


def test_every_graph_is_opened_from_the_plan_that_fits(tmp_path, backend):
    bundle = make_bundle_with_plans(tmp_path, **CONTENTS)
    plans = bundle.manifest.engines[TARGET.folder].plans
    with Runtime(tmp_path, CONFIG):
        assert backend.loaded == {name: (tmp_path / plans[name].main, None) for name in GRAPHS}
        assert backend.contents == {tmp_path / plans[n].main: (tmp_path / plans[n].main).read_bytes() for n in GRAPHS}
    assert backend.closed == [*reversed(GRAPHS), "backend"]


def test_stripped_plans_come_with_the_graphs_that_hold_their_weights(tmp_path, backend):
    stripped = replace(TARGET, options=PlanOptions(strip=True))
    bundle = make_bundle_with_plans(tmp_path, target=stripped, **CONTENTS)
    with Runtime(tmp_path, CONFIG):
        assert {name: weights for name, (_, weights) in backend.loaded.items()} == {
            name: bundle.model_path(name) for name in GRAPHS
        }


def test_a_budget_for_weights_is_refused_for_plans_that_keep_all_of_them(tmp_path, backend):
    config = replace(CONFIG, weight_budget_bytes=1 << 30)
    make_bundle_with_plans(tmp_path / "fixed", **CONTENTS)
    with pytest.raises(InputError, match=r"--weight-streaming, those .* were not; .* build: .* --weight-streaming"):
        Runtime(tmp_path / "fixed", config)
    assert backend.loaded == {}
    streaming = replace(TARGET, options=PlanOptions(weight_streaming=True))
    make_bundle_with_plans(tmp_path / "streaming", target=streaming, **CONTENTS)
    with Runtime(tmp_path / "streaming", config):
        assert set(backend.loaded) == set(GRAPHS)


def test_an_altered_plan_never_reaches_the_library(tmp_path, backend):
    bundle = make_bundle_with_plans(tmp_path, **CONTENTS)
    file = tmp_path / bundle.manifest.engines[TARGET.folder].plans["denoiser"].main
    file.write_bytes(file.read_bytes()[::-1])
    with pytest.raises(BundleError, match=r"denoiser\.plan was changed: sha256"):
        Runtime(tmp_path, CONFIG)
    assert "denoiser" not in backend.loaded
    assert backend.closed == [*reversed(backend.loaded), "backend"]


def test_plans_that_nobody_opens_are_not_hashed_and_inspecting_hashes_all(tmp_path, backend):
    contents = {**CONTENTS, "live_denoiser": b"another"}
    bundle = make_bundle_with_plans(tmp_path, **contents)
    file = tmp_path / bundle.manifest.engines[TARGET.folder].plans["live_denoiser"].main
    file.write_bytes(file.read_bytes()[::-1])
    with Runtime(tmp_path, CONFIG):
        assert set(backend.loaded) == set(GRAPHS)
    with pytest.raises(BundleError, match=r"live_denoiser\.plan was changed: sha256"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("suffix", ["", ".data"])
def test_an_altered_graph_gives_no_weights_to_a_stripped_plan(tmp_path, backend, suffix):
    stripped = replace(TARGET, options=PlanOptions(strip=True))
    bundle = make_bundle_with_plans(tmp_path, target=stripped, **CONTENTS)
    file = Path(f"{bundle.model_path('denoiser')}{suffix}")
    file.write_bytes(file.read_bytes()[::-1])
    with pytest.raises(BundleError, match=r"denoiser\.onnx\S* was changed: sha256 .*build_engines --preset"):
        Runtime(tmp_path, CONFIG)
    assert "denoiser" not in backend.loaded


def test_a_bundle_without_plans_says_how_to_build_them_and_lets_the_device_go(tmp_path, backend):
    make_bundle(tmp_path, **CONTENTS)
    with pytest.raises(EngineMismatch, match="holds no plans for tensorrt-rtx; build them: python -m export"):
        Runtime(tmp_path, CONFIG)
    assert backend.closed == ["backend"]


def test_without_a_gpu_nothing_is_opened(tmp_path):
    from engines.gpu import NoGpu, find_gpu

    if not isinstance(find_gpu(), NoGpu):
        pytest.skip("this machine has a GPU")
    make_bundle_with_plans(tmp_path, **CONTENTS)
    with pytest.raises(EngineMismatch, match="this needs an NVIDIA GPU, found: "):
        Runtime(tmp_path, CONFIG)
