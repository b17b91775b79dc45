from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.hp_trt.measure.study.conftest import made_clips, made_study

__all__ = ["made_clips", "made_study"]


@pytest.fixture
def study(made_study, tmp_path) -> Path:
    """A copy of the study to fill."""
    return Path(shutil.copytree(made_study, tmp_path / "STUDY"))
