from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from hp_trt.__main__ import main
from tests.hp_trt.commands.test_cli import SMALL, Ended


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, request) -> Path:
    """A bundle of a very small preset at 64 px: the one that the other commands are tested with. Read only."""
    from export.build import BuildConfig, build_bundle
    from export.hunyuanportrait.presets import PRESETS

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if hasattr(request.config, "workerinput") else base
    with FileLock(shared / "cli.lock"), pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, SMALL.name, SMALL)
        return build_bundle(BuildConfig(preset=SMALL.name, bundle=shared / "cli", parity=False)).path


@pytest.fixture
def hp_trt(monkeypatch, capfd):
    """Runs a command in this process, as the console script does."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["hp-trt", *map(str, words)])
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as ended:
            main()
        signal.signal(signal.SIGTERM, before)
        return Ended(ended.value.code, *capfd.readouterr())

    return run
