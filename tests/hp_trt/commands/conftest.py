from __future__ import annotations

import pytest


@pytest.fixture
def animate(hp_trt, small_bundle, sample, tmp_path):
    """`animate` with good arguments but those given; `out` is in a folder of its own."""
    folder = tmp_path / "result"
    folder.mkdir()

    def run(*more, **given):
        words = {
            "bundle": small_bundle,
            "portrait": sample[0],
            "driving": sample[1],
            "out": folder / "o.mp4",
            "steps": 1,
        }
        return hp_trt("animate", *(f"--{k.replace('_', '-')}={v}" for k, v in (words | given).items()), *more)

    run.folder, run.out = folder, folder / "o.mp4"
    return run
