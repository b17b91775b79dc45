from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Heard when the tests are named: pytest tests/quality ..."""
    parser.addoption("--weights", help="A file of export.train [the shipped one].")
