from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Heard when the tests are named: pytest tests/quality ..."""
    parser.addoption("--weights", help="A file of export.train [the shipped one].")
    parser.addoption("--whole", action="store_true", help="All 24 clips of docs/quality.md, not the first 12.")
