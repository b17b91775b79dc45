"""What all tests share: exported graphs, and the cores of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engines.onnx_backend import OnnxBackend, available_cores
from tests.export.hunyuanportrait.onnx_cache import OnnxCache

# Workers of pytest-xdist share the cores. Set before anything imports torch, which reads it once.
THREADS = max(available_cores() // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), 1)
os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))


@pytest.fixture(scope="session")
def onnx_cache(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> OnnxCache:
    base = tmp_path_factory.getbasetemp()
    worker = hasattr(request.config, "workerinput")  # its folder lies inside the one of the whole session
    return OnnxCache((base.parent if worker else base) / "onnx")


@pytest.fixture(scope="session")
def backend() -> OnnxBackend:
    return OnnxBackend(threads=THREADS)


@pytest.fixture(scope="session")
def pocket_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the pocket preset with random weights: a minute's work, for slow tests. Read only."""
    from export.build import BuildConfig, build_bundle

    folder = tmp_path_factory.mktemp("pocket") / "bundle"
    # Parity has tests of its own, and the bundle is the same without.
    return build_bundle(BuildConfig(preset="pocket", bundle=folder, parity=False)).path
