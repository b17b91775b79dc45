"""What all tests share: exported graphs, and the cores of this machine."""

from __future__ import annotations

import os

import pytest

from engines.onnx_backend import OnnxBackend, available_cores
from tests.export.onnx_cache import OnnxCache

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
