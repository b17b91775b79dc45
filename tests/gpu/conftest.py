"""What several of the check's tests take."""

from __future__ import annotations

import time

import pytest

from tests.gpu.lines import Lines


@pytest.fixture
def lines(tmp_path):
    return Lines(tmp_path / "lines.jsonl", time.time() + 600)
