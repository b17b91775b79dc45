from __future__ import annotations

from pathlib import Path

import pytest

from hp_trt.sample import write_sample


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> tuple[Path, Path]:
    """A drawn portrait.png and a driving.mp4 of 12 frames at 25 frames/s with sound. Read only."""
    return write_sample(tmp_path_factory.mktemp("sample"), frames=12)
