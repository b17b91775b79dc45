"""Drawn people, and what is left of them once they are smeared; no network of a bundle runs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hp_trt.faces.lost import MOMENTS, FaceWatch, scores
from procedural.motion import motion
from procedural.people import Person

PX = 128


def drawn(seed: int, frames: int = 40, every: int = 10, varied: bool = False) -> list[np.ndarray]:
    who = Person.random(seed, varied=varied)
    return [who.draw(state, PX) for state in motion(seed, frames)[::every]]


def smeared(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), PX / 16)


def watched(square: np.ndarray | None, frames: list[np.ndarray]) -> tuple[str, ...]:
    watch = FaceWatch(square)
    for frame in frames:
        watch.see(frame)
    return watch.notes()


@pytest.mark.parametrize(("seed", "varied"), [(7, False), (20, False), (1, True)])
def test_of_people_who_move_and_blink_nobody_is_lost_and_of_a_smear_everybody(seed, varied):
    moving = drawn(seed, varied=varied)
    assert watched(moving[0], moving[1:]) == ()
    assert len(watched(moving[0], [smeared(picture) for picture in moving[1:]])) == 1


def test_the_note_says_what_was_looked_at_and_what_to_do():
    still = drawn(3, frames=1)[0]
    (note,) = watched(still, [smeared(still)] * 9)
    assert f"in {MOMENTS} of {MOMENTS} moments" in note
    assert "take another portrait (one face, upright, looking ahead, nothing before it)" in note


def test_a_face_that_is_lost_in_less_than_half_of_a_clip_is_not_told():
    still = drawn(3, frames=1)[0]
    assert watched(still, [still] * 5 + [smeared(still)] * 3) == ()
    assert len(watched(still, [still] * 3 + [smeared(still)] * 5)) == 1


def test_moments_are_even_over_a_clip_of_any_length_and_few_are_kept():
    still = drawn(3, frames=1)[0]
    watch = FaceWatch(still)
    kept = []
    for number in range(1000):
        watch.see(np.full((PX, PX, 3), number * 255 // 1000, np.uint8))
        kept.append(len(watch._kept))
    levels = [int(picture[0, 0, 0]) for picture in watch._kept]
    assert max(kept) == 2 * MOMENTS and len(levels) >= MOMENTS
    assert np.ptp(np.diff(levels)) <= 1 and levels[0] == 0 and levels[-1] > 200


def test_a_portrait_whose_eyes_nobody_sees_may_have_none_in_the_result():
    still = drawn(3, frames=1)[0].copy()
    still[40:62] = still[62]  # a bar before the eyes
    cv2.line(still, (48, 50), (80, 52), (20, 20, 30), 9)  # dark glasses
    assert watched(still, [still] * 2) == ()
    assert len(watched(still, [smeared(smeared(still))] * 2)) == 1


def test_more_detail_than_there_was_is_as_lost_as_less():
    still = smeared(drawn(3, frames=1)[0])
    spots = np.random.default_rng(0).integers(0, 256, (PX // 4, PX // 4, 3), dtype=np.uint8)
    noise = cv2.resize(spots, (PX, PX))
    assert max(scores(still, [noise, np.full_like(still, 100)])) < 0


@pytest.mark.parametrize("px", [8, 63])
def test_of_squares_too_small_and_of_models_that_name_none_nothing_is_said(px):
    still = drawn(3, frames=1)[0]
    tiny = cv2.resize(still, (px, px))
    assert watched(None, [smeared(still)] * 3) == watched(tiny, [tiny] * 3) == watched(still, [tiny] * 3) == ()
    assert watched(still, []) == ()


def test_frames_are_neither_changed_nor_held():
    still = drawn(3, frames=1)[0]
    frame, watch = still.copy(), FaceWatch(still)
    watch.see(frame)
    frame[:] = 0
    assert watch.notes() == ()
