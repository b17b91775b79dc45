from __future__ import annotations

import pytest

from engines.bundle import Bundle
from tests.export.tiny import TINY


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
