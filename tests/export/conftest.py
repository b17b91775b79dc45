from __future__ import annotations

import pytest

from tests.export.tiny import TINY


@pytest.fixture(scope="session")
def tiny_preset():
    """The name of a preset that builds in seconds."""
    from export.hunyuanportrait.presets import PRESETS

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, TINY.name, TINY)
        yield TINY.name


@pytest.fixture(scope="session")
def tiny_bundle(tiny_preset, tmp_path_factory):
    """A whole bundle of `tiny_preset` in float32, with random weights. Read only."""
    from export.build import BuildConfig, build_bundle

    return build_bundle(BuildConfig(preset=tiny_preset, bundle=tmp_path_factory.mktemp("tiny") / "bundle"))
