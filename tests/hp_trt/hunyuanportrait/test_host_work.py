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
    pieces = host_pieces(drawn, frames=3, make=False, follow=False)
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
    host_pieces(drawn, frames=3, make=True, follow=False)
    made = [frame.crop for frame in drawn.frames(None, None)]
    assert all(np.array_equal(*pair) for pair in zip(written[-3:], made, strict=True))
    host_pieces(drawn, frames=3, make=False, follow=False)
    assert not any(np.array_equal(*pair) for pair in zip(written[-3:], made, strict=True))


def test_a_live_sessions_face_is_looked_for_where_it_was(drawn, monkeypatch):
    searched = []
    locate, near = HaarLocator.locate, HaarLocator.near
    monkeypatch.setattr(HaarLocator, "locate", lambda *given: searched.append("all") or locate(*given))
    monkeypatch.setattr(HaarLocator, "near", lambda *given: searched.append("near") or near(*given))
    host_pieces(drawn, frames=3, make=False, follow=True)
    assert searched[-3:] == ["near"] * 3
    host_pieces(drawn, frames=3, make=False, follow=False)
    assert searched[-3:] == ["all"] * 3
