from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np
import pytest

from engines.bundle import Bundle
from tests.export.copying_exporter import copy_from
from tests.export.tiny import TINY, make_known

LARGE = 1 << 20  # elements: only full-size networks have many such entries, and all of these are matrices
BLOCK = 999_983  # a prime, so that no two rows of a matrix are alike


@pytest.fixture(scope="session")
def tiny_preset():
    """The name of a preset that builds in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        make_known(patch, TINY)
        yield TINY.name


@pytest.fixture(scope="session")
def tiny_bundle(tiny_preset, bundle_of) -> Bundle:
    """A whole bundle of `tiny_preset` in float32, with random weights. Read only."""
    return Bundle.open(bundle_of(preset=tiny_preset))


@pytest.fixture
def exported(monkeypatch, tiny_bundle) -> list[str]:
    """Names of the graphs that a build exports, in order. Instead of an export: the file that was exported before."""
    import export.graphs.build_graph

    names: list[str] = []
    copy = copy_from(tiny_bundle)

    def export_onnx(module, spec, example, path: Path) -> None:
        names.append(spec.name)
        copy(module, spec, example, path)

    monkeypatch.setattr(export.graphs.build_graph, "export_onnx", export_onnx)
    return names


@pytest.fixture(scope="session", autouse=True)
def shared_exports(cache):
    """A build in this process exports no graph that was exported before."""
    from tests.export.cached_exports import cached_exports

    with cached_exports(cache):
        yield


@pytest.fixture
def quick_weights(monkeypatch):
    """Full-size networks are filled with one block of numbers again and again, which begins elsewhere for each entry:
    what is shown of them does not depend on the numbers, and to draw two billion takes a minute."""
    from export.weights import random

    real = random.random_weight
    numbers = np.random.RandomState(0).standard_normal(BLOCK).astype(np.float32)

    def random_weight(key, shape, *, integer=False, prefix=""):
        if integer or math.prod(shape) < LARGE:
            return real(key, shape, integer=integer, prefix=prefix)
        block = np.roll(numbers, zlib.crc32(key.encode())) / np.float32(math.sqrt(math.prod(shape[1:])))
        weight = np.empty(math.prod(shape), np.float32)  # np.resize does the same in twenty times the time
        whole = weight.size - weight.size % BLOCK
        weight[:whole].reshape(-1, BLOCK)[:] = block
        weight[whole:] = block[: weight.size - whole]
        return weight.reshape(shape)

    monkeypatch.setattr(random, "random_weight", random_weight)
