from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hp_trt.interface.render import render_whole
from hp_trt.media.video import VideoReader, probe
from hp_trt.model import Clip
from runtime.stages import Stages
from tests.hp_trt.clips import make_clip


@pytest.mark.parametrize("quick", [False, True])
def test_a_clip_and_its_crop_are_written_as_quickly_as_asked(tmp_path, quick):
    driving = make_clip(tmp_path / "a.mp4", 3)
    crops = [np.full((32, 32, 3), level, np.uint8) for level in (10, 90, 200)]

    def begin() -> Clip:
        frames = ((number, None, crop) for number, crop in enumerate(crops))
        return Clip(frames=frames, notes=list)

    portrait = SimpleNamespace(
        image=np.zeros((48, 64, 3), np.uint8), notes=(), paste=lambda crop: np.resize(crop, (48, 64, 3))
    )
    out, crop_out = tmp_path / "out.mp4", tmp_path / "crop.mp4"
    made = render_whole(
        begin, portrait, out=out, crop_out=crop_out, side_px=32, driving=probe(driving), quick=quick, stages=Stages()
    )
    assert made.frames == 3
    for path in (out, crop_out):
        levels = [frame.mean() for frame in VideoReader(path)]
        assert levels == pytest.approx([10, 90, 200], abs=3)  # as the encoder rounds them
        assert (b"subme=0" in path.read_bytes()) == quick  # x264 writes its settings into the file
