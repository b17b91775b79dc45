from __future__ import annotations

from math import pi, sin

import numpy as np
import pytest

from hp_trt.faces.face import Face
from hp_trt.faces.track import FaceTrack


def face(x: float, y: float = 100, side: float = 60) -> Face:
    points = np.array([[-0.2, -0.2], [0.2, -0.2], [0, 0], [-0.15, 0.2], [0.15, 0.2]]) * side + (x, y)
    return Face(box=(x - side / 2, y - side / 2, side, side), landmarks=points, score=1.0)


def middles(frames: list[list[Face]], track: FaceTrack | None = None) -> list[float | None]:
    """Where the followed face is in each frame."""
    track = track or FaceTrack()
    chosen = [track.choose(faces) for faces in frames]
    return [None if one is None else one.landmarks[2, 0] for one in chosen]


def test_the_largest_of_the_first_frame_is_followed_though_others_grow_larger():
    waves = [0.06 * sin(2 * pi * i / 12) for i in range(50)]
    frames = [[face(100, side=60 * (0.9 - wave)), face(300, side=60 * (0.901 + wave))] for wave in waves]
    assert middles(frames) == [300] * 50
    assert middles([faces[::-1] for faces in frames]) == [300] * 50  # in any order


@pytest.mark.parametrize("together", [0, 6])
def test_two_who_cross_keep_who_they_are(together):
    """`together`: so many frames in which the one in front is found alone."""
    frames = [[face(100 + 8 * i, side=62), face(420 - 8 * i)] for i in range(40)]
    for i in range(20 - together // 2, 20 + together // 2):
        frames[i] = frames[i][1:]
    ours = middles(frames)
    assert [x for x in ours if x is not None] == [100 + 8 * i for i in range(40) if len(frames[i]) == 2]
    assert ours.count(None) == together


def test_one_who_leaves_is_waited_for_for_a_second_and_then_the_other_is_followed():
    frames = [[face(100, side=70), face(300)]] * 5 + [[face(300)]] * 30
    track = FaceTrack()
    assert middles(frames, track) == [100] * 5 + [None] * 25 + [300] * 5
    assert track.changes == 1


def test_one_who_comes_back_in_time_is_followed_again():
    frames = [[face(100, side=70), face(300)]] * 5 + [[face(300)]] * 20 + [[face(300), face(105, side=70)]] * 3
    assert middles(frames) == [100] * 5 + [None] * 20 + [105] * 3


def test_a_face_that_leaps_is_followed_at_once_beside_another_too():
    assert middles([[face(100)], [face(400)], [face(405)]]) == [100, 400, 405]
    beside = [[face(100, side=70), face(600)], [face(605), face(350, side=70)]]
    assert middles(beside) == [100, 350]


def test_a_detectors_short_mistake_elsewhere_is_forgotten():
    frames = [[face(100)]] * 3 + [[face(400)]] * 2 + [[face(101), face(400, side=70)]] * 3
    assert middles(frames) == [100] * 3 + [400] * 2 + [101] * 3


def test_what_has_leapt_and_stayed_is_the_one_that_is_followed():
    frames = [[face(100)]] * 3 + [[face(400)]] * 8 + [[face(101, side=90), face(402)]] * 3
    assert middles(frames) == [100] * 3 + [400] * 8 + [402] * 3


def test_after_a_restart_the_largest_is_followed():
    track = FaceTrack()
    assert middles([[face(100, side=70), face(300)]], track) == [100]
    track.restart()
    assert not track.follows
    assert middles([[face(100), face(300, side=70)]], track) == [300]


def test_near_takes_ours_and_leaves_another_alone():
    track = FaceTrack()
    middles([[face(100, side=70), face(160)]] * 2, track)
    assert track.near([face(161)]) is None
    assert track.near([]) is None
    assert track.near([face(165), face(108, side=70)]).landmarks[2, 0] == 108
    assert track.near([face(500)]) is None


def test_a_crowd_is_followed_in_good_time():
    crowd = [face(70 * (i % 30), 70 * (i // 30)) for i in range(899)] + [face(900, 900, side=61)]
    assert middles([crowd] * 20) == [900] * 20
