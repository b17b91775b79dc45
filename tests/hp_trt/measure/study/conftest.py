from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hp_trt.measure.study.plan import make_study
from tests.hp_trt.measure.study.clips import make_clips


@pytest.fixture(scope="session")
def made_clips(tmp_path_factory) -> Path:
    """Two items, the second of which speech drives, of two contenders. Read only."""
    return make_clips(tmp_path_factory.mktemp("study") / "clips", speech=("ben",))


@pytest.fixture(scope="session")
def made_study(made_clips) -> Path:
    """The study of these clips. Read only."""
    make_study(made_clips, made_clips.parent / "STUDY")
    return made_clips.parent / "STUDY"


@pytest.fixture
def clips(made_clips, tmp_path) -> Path:
    """A copy of the clips to spoil."""
    return Path(shutil.copytree(made_clips, tmp_path / "clips"))


@pytest.fixture
def study(made_study, tmp_path) -> Path:
    """A copy of the study to fill."""
    return Path(shutil.copytree(made_study, tmp_path / "STUDY"))
