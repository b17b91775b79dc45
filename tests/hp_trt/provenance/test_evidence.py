"""What is summed over frames: what stands still stays, what moves goes, and only one picture is kept."""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.provenance.evidence import Evidence


def noise(seed: int, *size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 190, (*size, 3)).astype(np.uint8)


def picture(frames: list[np.ndarray]) -> np.ndarray:
    evidence = Evidence()
    for frame in frames:
        evidence.add(frame)
    return evidence.picture()


def test_the_same_frame_twice_shows_what_it_shows_once():
    frame = noise(0, 40, 50)
    assert np.allclose(picture([frame]), picture([frame, frame]), atol=1e-6)


def test_what_stands_still_is_seen_under_what_moves():
    still = np.where(np.indices((64, 64)).sum(0) % 16 < 8, 6, -6)[..., None]
    moving = [np.clip(noise(i, 64, 64) + still, 0, 255).astype(np.uint8) for i in range(40)]
    agreement = [np.corrcoef(picture(moving[:n]).ravel(), still.ravel())[0, 1] for n in (1, 40)]
    assert agreement[1] > 0.6 > 0.3 > agreement[0]


@pytest.mark.parametrize("grey", [0, 77, 255])
def test_an_even_frame_shows_nothing(grey):
    assert not picture([np.full((30, 40, 3), grey, np.uint8)]).any()


def test_frames_that_are_larger_than_needed_are_shrunk():
    assert picture([noise(0, 1300, 2600)]).shape == (433, 866)
    assert picture([noise(0, 1, 5000)]).shape == (1, 1250)
