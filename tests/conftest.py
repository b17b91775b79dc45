"""What all tests share: the cores of this machine, what is kept between sessions, and bundles."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engines.cores import available_cores
from engines.onnx_backend import OnnxBackend
from hp_trt import shipped
from hp_trt.provenance import run_seal
from tests.cache import Cache
from tests.export.onnx_cache import OnnxCache

# Each worker of pytest-xdist has cores of its own, and so has whatever it starts. All libraries make as many threads as
# there are cores: those of two workers on two cores would wait for each other, busily.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    number, cores = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")), sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[number % len(cores) :: WORKERS])
THREADS = available_cores()
# Set before anything imports torch, which reads it once; in a worker whatever was set, because that is for the process
# that started it.
if WORKERS > 1 or "OMP_NUM_THREADS" not in os.environ:
    os.environ["OMP_NUM_THREADS"] = str(THREADS)
# What a shell starts with `&` ignores Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        Cache().prune()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Full-size networks run one after another on one worker: two would not fit into a small machine.

    What is slow begins early, so that in the end no worker waits for one long test of the other.
    """
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        if item.get_closest_marker("full_size"):
            item.own_markers = [mark for mark in item.own_markers if mark.name != "xdist_group"]  # both would be joined
            item.add_marker(pytest.mark.xdist_group("full-size"))


def pytest_collectstart() -> None:
    gc.disable()  # a fifth of the collection's time, and what is imported stays


def pytest_collection_finish() -> None:
    """Modules live as long as the worker: looking for garbage need not walk through torch each time, nor so often."""
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


_SEALING = {"prepare": run_seal.prepare, "check_beside": run_seal.check_beside}


@pytest.fixture(scope="session", autouse=True)
def files_as_they_are(tmp_path_factory) -> Iterator[None]:
    """Most tests are of pictures and times: what this process writes carries nothing of its origin, but where a test
    asks for `sealed`. The user's own key is nobody's, also of processes that a test starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        for name in _SEALING:
            patch.setattr(run_seal, name, lambda *_given, **_named: None)
        yield


@pytest.fixture
def sealed(monkeypatch) -> None:
    """Files carry of their origin what they carry for users."""
    for name, own in _SEALING.items():
        monkeypatch.setattr(run_seal, name, own)


@pytest.fixture
def no_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation for plans alone."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "engines.onnx_backend", raising=False)  # it would be found as it is


@pytest.fixture(scope="session")
def cache() -> Cache:
    return Cache()


@pytest.fixture(scope="session")
def onnx_cache(cache: Cache) -> OnnxCache:
    return OnnxCache(cache)


@pytest.fixture(scope="session")
def backend() -> OnnxBackend:
    return OnnxBackend(threads=THREADS)


@pytest.fixture(scope="session")
def bundle_of(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes the bundle of a build's options (`preset`, `precision`, ...): this session's own copy. Read only."""
    from tests.export.kept_bundles import kept_bundle

    copies: dict[Path, Path] = {}

    def bundle_of(**options) -> Path:
        kept = kept_bundle(cache, **options)
        if kept not in copies:  # whoever breaks the rule breaks this session alone
            copies[kept] = Path(shutil.copytree(kept, tmp_path_factory.mktemp(options["preset"]) / "bundle"))
        return copies[kept]

    return bundle_of


@pytest.fixture(scope="session")
def pocket_bundle(bundle_of) -> Path:
    """The demo's bundle: pocket, its own weights, live mode's graphs too. Read only."""
    own = {"weights": shipped.POCKET, "live_weights": shipped.POCKET_LIVE}
    # Parity has tests of its own, and the bundle is the same without.
    return bundle_of(preset="pocket", precision="fp32", live=True, parity=False, **own)


@pytest.fixture(scope="session")
def own_bundle(pocket_bundle, bundle_of) -> Callable[[str], Path]:
    """The bundle of a preset whose weights come with the package, by its name, as exported. Read only."""
    others = {"talk_pocket": shipped.TALK_POCKET, "enhancer_pocket": shipped.ENHANCER_POCKET}
    plain = {"precision": "fp32", "parity": False}

    def own_bundle(preset: str) -> Path:
        return pocket_bundle if preset == "pocket" else bundle_of(preset=preset, weights=others[preset], **plain)

    return own_bundle


@pytest.fixture(scope="session")
def small_bundle(bundle_of) -> Path:
    """A bundle of a very small preset at 64 px, for commands and whole clips. Read only."""
    return bundle_of(preset="small", parity=False)


@pytest.fixture(scope="session")
def live_bundle(bundle_of) -> Path:
    """A bundle of the tiny preset with live mode's graphs too, whose windows are 3 frames. Read only."""
    return bundle_of(preset="tiny", live=True, parity=False)
