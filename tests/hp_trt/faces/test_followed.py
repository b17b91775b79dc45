from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hp_trt.faces.face import Face
from hp_trt.faces.followed import FollowedFace
from hp_trt.faces.landmarks_file import LandmarksFile
from procedural.draw import draw
from procedural.identity import Identity
from procedural.landmarks import face_box, landmarks
from procedural.motion import motion

WIDTH, HEIGHT = 320, 240
DONE = "and that is that"


class Shot:
    """Drawn people of `seeds` on a plain wall, each at (x, y) with a side, all in pixels."""

    def __init__(self, *people: tuple[int, int, int, int], level: int = 128) -> None:
        self.people, self.level = people, level

    def frame(self, number: int, *, moved: tuple[int, int] = (0, 0)) -> tuple[np.ndarray, list[Face]]:
        picture = np.full((HEIGHT, WIDTH, 3), self.level, np.uint8)
        faces = []
        for seed, x, y, side in self.people:
            who, state = Identity.random(seed), motion(seed, 40)[number % 40]
            x, y = x + moved[0], y + moved[1]
            into = picture[max(y, 0) : y + side, max(x, 0) : x + side]
            into[:] = draw(who, state, side)[max(-y, 0) :, max(-x, 0) :][: into.shape[0], : into.shape[1]]
            left, top, w, h = face_box(who, state, side)
            points = landmarks(who, state, side)[:5] + np.array([x, y])
            faces.append(Face(box=(left + x, top + y, w, h), landmarks=points, score=1.0))
        return picture, faces


def watch(frames: list[tuple[np.ndarray, list[Face]]], fps: int = 25) -> tuple[FollowedFace, list]:
    known = LandmarksFile([faces for _, faces in frames], height=HEIGHT, width=WIDTH)
    followed = FollowedFace(known)
    return followed, [followed.see(image, i, Fraction(i, fps)) for i, (image, _) in enumerate(frames)]


SMALL, LARGE = Shot((1, 0, 0, 100)), Shot((1, 130, 50, 190))


@pytest.mark.parametrize("other", [LARGE, Shot((2, 130, 50, 190)), Shot((2, 130, 50, 190), level=30)])
def test_a_scene_cut_is_told_with_its_frame_and_time(other):
    followed, sights = watch([SMALL.frame(i) for i in range(12)] + [other.frame(i) for i in range(12)])
    assert [i for i, sight in enumerate(sights) if sight.leapt] == [12]
    assert followed.notes(DONE) == [f"a scene cut at frame 12 (0.48 s): {DONE}"]


def test_several_cuts_are_told_together():
    followed, _ = watch([shot.frame(i) for shot in (SMALL, LARGE) * 4 for i in range(3)])
    [note] = followed.notes(DONE)
    assert note == (
        "7 scene cuts, at frames 3 (0.12 s), 6 (0.24 s), 9 (0.36 s), 12 (0.48 s), 15 (0.60 s), ...: and that is that"
    )


def test_a_cut_behind_frames_without_a_face_is_told_where_the_face_comes_back():
    empty = Shot(level=40).frame(0)
    _, sights = watch([SMALL.frame(0), empty, empty, LARGE.frame(0)])
    assert [sight.leapt for sight in sights] == [False, False, False, True]


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_fast_motion_is_no_cut(seed):
    shot = Shot((seed, 90, 30, 160))
    sway = [round(70 * np.sin(i * 2 * np.pi / 9)) for i in range(30)]  # most of a face in a frame
    followed, sights = watch([shot.frame(i, moved=(x, x // 3)) for i, x in enumerate(sway)])
    assert not any(sight.leapt for sight in sights) and followed.notes(DONE) == []


def test_flashes_and_fades_are_no_cuts():
    frames = [LARGE.frame(i) for i in range(40)]
    lit = {5: (1.0, 110), 6: (1.0, 60), 15: (0.0, 255)} | {20 + i: (abs(i - 9) / 9, 0) for i in range(19)}
    for i, (gain, offset) in lit.items():
        picture, faces = frames[i]
        changed = np.clip(picture * gain + offset, 0, 255).astype(np.uint8)
        frames[i] = changed, [] if changed.std() < 3 else faces
    followed, sights = watch(frames)
    assert followed.held == 2 and not any(sight.leapt for sight in sights)


def test_a_shot_that_is_faded_into_another_is_told_when_it_is_over():
    share = [min(max((i - 5) / 8, 0), 1) for i in range(30)]
    frames = []
    for i, part in enumerate(share):
        (one, face), (two, other) = SMALL.frame(i), LARGE.frame(i)
        frames.append(((one * (1 - part) + two * part).astype(np.uint8), face if part < 0.5 else other))
    followed, sights = watch(frames)
    assert sum(sight.leapt for sight in sights) == 1
    assert "a scene cut at frame" in followed.notes(DONE)[0]


def test_frames_without_the_face_hold_the_last_one_that_has_it():
    pair = Shot((1, 0, 20, 150), (2, 165, 20, 140))
    frames = [pair.frame(i) for i in range(9)]
    frames[3] = frames[3][0], []
    frames[5] = frames[5][0], frames[5][1][1:]
    followed, sights = watch(frames)
    assert [sight.held for sight in sights] == [i in (3, 5) for i in range(9)]
    assert sights[3].image is frames[2][0] and sights[5].image is frames[4][0]
    assert all(sight.face.box[0] < 100 for sight in sights)
    assert followed.notes(DONE) == [
        "1 of 9 driving frames show no face: the last frame with one was held",
        "1 of 9 driving frames show other faces, not the one that is followed: the last frame with it was held",
        "7 of 9 driving frames show several faces, up to 2: one was followed, the largest at the start",
    ]


def test_another_person_is_followed_after_a_second_and_that_is_told():
    pair = Shot((1, 0, 20, 150), (2, 165, 20, 140))
    frames = [pair.frame(i) for i in range(3)] + [(pair.frame(i)[0], pair.frame(i)[1][1:]) for i in range(30)]
    followed, sights = watch(frames)
    assert [i for i, sight in enumerate(sights) if sight.leapt] == [28]
    assert f"another face was followed from frame 28 (1.12 s): {DONE}" in followed.notes(DONE)


def test_before_the_first_face_there_is_nothing_unless_it_is_known():
    empty = Shot().frame(0)
    assert watch([empty])[1] == [None]
    image, [face] = SMALL.frame(0)
    followed = FollowedFace(LandmarksFile([[]], height=HEIGHT, width=WIDTH))
    followed.begin(image, face)
    sight = followed.see(empty[0], 0)
    assert sight.image is image and sight.face is face and sight.held
