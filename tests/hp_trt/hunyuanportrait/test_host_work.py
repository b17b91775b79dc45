"""What the host does for a clip is measured on a drawn one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hp_trt.faces.haar import HaarLocator
from hp_trt.hunyuanportrait import host_work
from hp_trt.hunyuanportrait.host_work import host_pieces
from hp_trt.media.paste import PasteBack


@pytest.fixture
def drawn():
    """A runtime that makes noise, and a drawn clip of three frames."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    return SimpleNamespace(
        bundle=SimpleNamespace(
            manifest=SimpleNamespace(geometry={"crop_px": 64, "appearance_px": 224, "motion_px": 32})
        ),
        config=SimpleNamespace(locator="haar", locator_file=None),
        frames=lambda portrait, driving: (SimpleNamespace(crop=crop) for crop in noise),
    )


def test_the_hosts_work_is_measured_on_a_drawn_clip(drawn):
    pieces = host_pieces(drawn, frames=3, make=False, live=False)
    assert {stage: piece.runs for stage, piece in pieces.items()} == {
        "portrait_crop": 1,
        "first_face": 1,
        "read": 3,
        "crop": 3,
        "write": 3,
    }
    assert all(piece.seconds > 0 for piece in pieces.values())


def test_what_is_written_is_what_the_networks_make(drawn, monkeypatch):
    written = []

    class Paste(PasteBack):
        def __call__(self, generated):
            written.append(generated)
            return super().__call__(generated)

    monkeypatch.setattr(host_work, "PasteBack", Paste)
    host_pieces(drawn, frames=3, make=True, live=False)
    made = [frame.crop for frame in drawn.frames(None, None)]
    assert all(np.array_equal(*pair) for pair in zip(written[-3:], made, strict=True))
    host_pieces(drawn, frames=3, make=False, live=False)
    assert not any(np.array_equal(*pair) for pair in zip(written[-3:], made, strict=True))


def test_a_live_sessions_face_is_followed_and_a_clips_is_looked_for_in_every_frame(drawn, monkeypatch):
    searched = []
    locate = HaarLocator.locate
    monkeypatch.setattr(HaarLocator, "locate", lambda *given: searched.append("all") or locate(*given))
    host_pieces(drawn, frames=5, make=False, live=False)
    clip, searched[:] = len(searched), []
    host_pieces(drawn, frames=5, make=False, live=True)
    # Of 2 frames to warm up and of 5, those after the first.
    assert clip - len(searched) == 1 + 4
