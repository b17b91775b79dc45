from __future__ import annotations

import math

import pytest

from engines.bundle import Bundle
from tests.export.tiny import TINY

LARGE = 1 << 20  # elements: only full-size networks have many such entries


@pytest.fixture(scope="session")
def tiny_preset():
    """The name of a preset that builds in seconds."""
    from export.hunyuanportrait.presets import PRESETS

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, TINY.name, TINY)
        yield TINY.name


@pytest.fixture(scope="session")
def tiny_bundle(tiny_preset, bundle_of) -> Bundle:
    """A whole bundle of `tiny_preset` in float32, with random weights. Read only."""
    return Bundle.open(bundle_of(preset=tiny_preset))


@pytest.fixture(scope="session", autouse=True)
def shared_exports(cache):
    """A build in this process exports no graph that was exported before."""
    from tests.export.cached_exports import cached_exports

    with cached_exports(cache):
        yield


@pytest.fixture(scope="package", autouse=True)
def large_weights(request):
    """A full-size network is filled by the rule once, for the reference, the export, the build and the plan.

    They take the same arrays, which nobody writes to: 8 GB while the slow tests of this folder run, one at a time.
    """
    if hasattr(request.config, "workerinput"):  # workers run small networks alone
        yield
        return
    from export.weights import random

    real, made = random.random_weight, {}

    def random_weight(key, shape, *, integer=False, prefix=""):
        if integer or math.prod(shape) < LARGE:
            return real(key, shape, integer=integer, prefix=prefix)
        entry = (prefix + key, tuple(shape))
        if entry not in made:
            made[entry] = real(key, shape, prefix=prefix)
        return made[entry]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random, "random_weight", random_weight)
        yield
