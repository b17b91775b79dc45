from __future__ import annotations

import pytest

from tests.hp_trt.provenance.certificates import Pair, make_pair


@pytest.fixture(autouse=True)
def own_state(monkeypatch, tmp_path, sealed):
    """Each test has a user of its own, who has no key yet, and files are sealed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="session")
def pair(tmp_path_factory) -> Pair:
    """A good chain and its key. Read only."""
    return make_pair(tmp_path_factory.mktemp("pair"))
