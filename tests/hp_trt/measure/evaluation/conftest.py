from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from hp_trt.__main__ import main
from tests.hp_trt.commands.test_cli import Ended


@pytest.fixture
def bundle(small_bundle) -> Path:
    return small_bundle


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
