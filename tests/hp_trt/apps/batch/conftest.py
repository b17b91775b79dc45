from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hp_trt.models import MODELS
from hp_trt.provenance import mark
from tests.engines.bundles import make_bundle
from tests.hp_trt.apps.batch.folders import SHORT, make_folders
from tests.hp_trt.clips import make_clip


class NoMark:
    """A mark that costs nothing and cannot be found."""

    def __init__(self, payload: int) -> None:
        self.payload = payload

    def embed(self, frame: np.ndarray) -> np.ndarray:
        return frame


@pytest.fixture
def place(tmp_path, sealed, monkeypatch):
    """A folder with p/ and d/, of two each, and a bundle `b` of a model that runs no graph."""
    monkeypatch.setattr(mark, "InvisibleMark", NoMark)
    monkeypatch.setitem(MODELS, "hunyuanportrait", "tests.hp_trt.apps.batch.quick_model:Quick")
    Image.new("RGB", (64, 48), (90, 60, 30)).save(tmp_path / "portrait.png")
    make_folders(tmp_path, (tmp_path / "portrait.png", make_clip(tmp_path / "driving.mp4", 5)))
    make_bundle(tmp_path / "b", any_graph=b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def batch(hp_trt, place):
    """`batch` in `place`, of p and d into out, with more words."""

    def run(*words, sources=("--portraits=p", "--drivings=d")):
        return hp_trt("batch", "--bundle=b", *sources, "--out=out", *SHORT, *words)

    return run
