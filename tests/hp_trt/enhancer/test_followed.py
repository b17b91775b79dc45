from __future__ import annotations

import numpy as np

from hp_trt.enhancer.followed import (
    FollowedFace,
    in_common,
    is_state,
    large_enough,
    released_choice,
    released_large_enough,
)
from runtime.enhancer.detector import FoundFace


def face(left: float, score: float = 0.9, side: float = 40, points=None) -> FoundFace:
    box = np.array((left, 10, left + side, 10 + side), np.float32)
    return FoundFace(box=box, score=score, points=np.zeros((5, 2)) if points is None else np.array(points, float))


def test_the_best_face_is_followed_even_where_another_gets_a_better_score():
    followed = FollowedFace()
    assert followed.choose([face(10, 0.95), face(100, 0.9)]).box[0] == 10
    assert followed.choose([face(101, 0.99), face(13, 0.85)]).box[0] == 13


def test_a_face_that_leaves_leaves_frames_without_one_for_a_second_and_then_another_is_followed():
    followed = FollowedFace()
    followed.choose([face(10)])
    found = [followed.choose([face(100)]) for _ in range(26)]
    assert found[:25] == [None] * 25 and found[25].box[0] == 100


def test_a_face_that_comes_back_is_followed_again():
    followed = FollowedFace()
    followed.choose([face(10)])
    assert [followed.choose([]) for _ in range(5)] == [None] * 5
    assert followed.choose([face(14)]) is not None
    assert followed.state[4] == 0


def test_a_state_goes_on_where_it_was_taken():
    one, frames = FollowedFace(), [[face(10 + k), face(60 - k, 0.99)] for k in range(20)]
    assert one.state.shape == (0,) and is_state(one.state)
    for faces in frames[:7]:
        one.choose(faces)
    other = FollowedFace(one.state)
    assert is_state(one.state) and not is_state(np.zeros(3)) and not is_state(np.full(5, np.nan))
    assert [one.choose(f) is f[0] for f in frames[7:]] == [other.choose(f) is f[0] for f in frames[7:]]


def test_what_two_boxes_share():
    assert in_common(np.array((0, 0, 2, 2)), np.array((1, 0, 3, 2))) == 2 / 6
    assert in_common(np.array((0, 0, 2, 2)), np.array((5, 0, 7, 2))) == 0
    assert in_common(np.zeros(4), np.zeros(4)) == 0


def test_a_face_needs_five_pixels_between_its_eyes_and_the_released_program_looks_at_others():
    level = [(10, 10), (30, 10), (30, 20), (12, 30), (28, 30)]  # turned: the nose is below the right eye
    assert large_enough(face(0, points=level)) and not released_large_enough(face(0, points=level))
    tiny = [(10, 10), (14, 10), (12, 12), (10, 14), (14, 14)]
    assert not large_enough(face(0, points=tiny))


def test_the_released_program_takes_the_worst_of_a_frame_or_that_of_a_frame_before():
    a, b, c = face(1), face(2), face(3)
    assert released_choice([[], [a, b], [], [c]]) == [None, b, b, c]
