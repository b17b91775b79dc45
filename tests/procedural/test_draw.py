from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from procedural.draw import draw
from procedural.identity import HAIR_STYLES, Color, Identity
from procedural.landmarks import POINTS, landmarks
from procedural.motion import State

MARK = (0, 0, 255)  # no face has it
TURNED = State(yaw_deg=28, pitch_deg=12, roll_deg=9, shift_x=0.05, shift_y=-0.04, scale=1.06, jaw=0.8, teeth=0.7)


def marked(picture: np.ndarray, color: Color = MARK) -> np.ndarray:
    """(N, 2) x, y of the pixels that have nearly this colour."""
    near = np.abs(picture.astype(int) - color).max(axis=-1) < 60
    return np.argwhere(near)[:, ::-1]


def someone(seed: int = 5, **changes) -> Identity:
    return replace(Identity.random(seed), glasses=None, spots=(), wall=((200, 210, 200),) * 2, **changes)


def point(identity: Identity, state: State, name: str, px: int) -> np.ndarray:
    return landmarks(identity, state, px)[POINTS.index(name)]


@pytest.mark.parametrize("px", [16, 128, 333])
def test_a_picture_is_square_rgb_and_the_same_every_time(px):
    who = Identity.random(3)
    first = draw(who, TURNED, px)
    assert (first.shape, first.dtype) == ((px, px, 3), np.uint8)
    first[:] = 0  # the caller may do as it likes with it
    assert np.array_equal(draw(who, TURNED, px), draw(Identity.random(3), replace(TURNED), px))


def test_different_seeds_look_different():
    pictures = [draw(Identity.random(seed), State(), 64).astype(int) for seed in range(24)]
    differences = [np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(differences) > 4


@pytest.mark.parametrize("style", HAIR_STYLES)
def test_every_style_is_drawn_in_every_pose_with_a_little_of_each_colour(style):
    who = replace(Identity.random(8), style=style, hair=MARK, glasses=None)
    for state in (State(), TURNED, State(yaw_deg=-35, pitch_deg=-20), State(pitch_deg=20, roll_deg=-15)):
        hair = len(marked(draw(who, state, 128))) / 128**2
        assert hair < 0.002 if style == "bald" else 0.03 < hair < 0.35


@pytest.mark.parametrize("state", [State(), TURNED, State(yaw_deg=-20, gaze_x=0.8, gaze_y=-0.5)])
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_iris_is_drawn_where_its_landmark_is(side, state):
    px = 512
    who = someone(iris=MARK)
    middle = point(who, state, f"{side} iris", px)
    near = [xy for xy in marked(draw(who, state, px)) if np.linalg.norm(xy - middle) < 0.05 * px]
    # The lids cut it above and below, the glint lies on its left: its middle across is what is left to see.
    assert abs((np.min(near, axis=0)[0] + np.max(near, axis=0)[0]) / 2 - middle[0]) < 0.006 * px


@pytest.mark.parametrize("state", [State(), TURNED, State(corners=1.0, yaw_deg=-25), State(rounding=1.0, jaw=0.6)])
def test_the_lips_end_where_their_landmarks_are(state):
    px = 512
    who = someone(lips=MARK)
    lips = marked(draw(who, state, px))
    for name, end in (("left mouth corner", lips[:, 0].argmin()), ("right mouth corner", lips[:, 0].argmax())):
        assert np.linalg.norm(lips[end] - point(who, state, name, px)) < 0.015 * px, name


@pytest.mark.parametrize("state", [State(), TURNED, State(brow_left=1.0, brow_right=-1.0)])
def test_the_brows_are_drawn_through_their_landmarks(state):
    px = 512
    who = someone(brow=MARK, hair=(90, 60, 30))
    brows = marked(draw(who, state, px))
    for side in ("left", "right"):
        for part in ("left end", "middle", "right end"):
            away = np.linalg.norm(brows - point(who, state, f"{side} brow's {part}", px), axis=1).min()
            assert away < 0.006 * px, (side, part)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_closed_lid_hides_its_iris_and_leaves_the_other_eye_as_it_was(side):
    who = someone(iris=MARK)
    opened, shut = draw(who, State(), 256), draw(who, State(**{f"lid_{side}": 1.0}), 256)
    there = [abs(x - 128) > 0 and (x < 128) == (side == "left") for x, _ in marked(opened)]
    assert sum(there) > 20
    remaining = marked(shut)
    assert all((x < 128) != (side == "left") for x, _ in remaining)
    assert len(remaining) == len(there) - sum(there)


def test_lids_close_step_by_step():
    who = someone(iris=MARK)
    seen = [len(marked(draw(who, State(lid_left=lid, lid_right=lid), 256))) for lid in np.linspace(0, 1, 9)]
    assert all(a >= b for a, b in pairwise(seen))
    assert seen[-1] == 0


def test_an_open_mouth_is_dark_inside_and_shows_teeth_when_asked():
    who = someone()
    middle = np.mean([point(who, State(jaw=1.0), f"{lip} lip", 256) for lip in ("upper", "lower")], axis=0)
    x, y = np.rint(middle).astype(int)
    shut, opened, teeth = (draw(who, s, 256) for s in (State(), State(jaw=1.0), State(jaw=1.0, teeth=1.0)))
    assert opened[y, x].max() < 110 < shut[y, x].max()
    whites = [int((picture[y - 20 : y + 20, x - 20 : x + 20].min(axis=-1) > 225).sum()) for picture in (opened, teeth)]
    assert whites[0] == 0
    assert whites[1] > 40


def test_body_and_wall_stay_put_when_the_head_moves():
    who = Identity.random(2)
    still, moved = draw(who, State(), 128), draw(who, TURNED, 128)
    assert np.array_equal(still[-6:], moved[-6:])
    assert np.array_equal(still[:, :6], moved[:, :6])
    assert np.abs(still.astype(int) - moved).mean() > 4


@pytest.mark.parametrize("seed", [1, 4, 46, 101, 108, 126])
@pytest.mark.parametrize(
    ("name", "step"), [("yaw_deg", 0.05), ("pitch_deg", 0.05), ("roll_deg", 0.05), ("shift_x", 2e-4), ("scale", 5e-4)]
)
def test_the_smallest_motion_changes_the_picture_a_little_and_ever_more(name, step, seed):
    who, base = Identity.random(seed), State(yaw_deg=3, jaw=0.3)
    states = [replace(base, **{name: getattr(base, name) + i * step}) for i in range(24)]
    pictures = [draw(who, state, 128).astype(int) for state in states]
    steps = [np.abs(b - a) for a, b in pairwise(pictures)]
    assert min(s.mean() for s in steps) > 0.01  # nothing stands still for a while
    assert max(s.max() for s in steps) < 50  # and nothing jumps: a fifth of the range in a 20th of a degree
    away = [np.abs(picture - pictures[0]).mean() for picture in pictures]
    assert np.all(np.diff(away) > 0)


def test_glasses_lie_over_the_eyes_and_turn_with_the_head():
    who = replace(someone(), glasses=MARK)
    for state in (State(), State(yaw_deg=20)):
        frame = marked(draw(who, state, 256))
        x, y = frame.min(axis=0)
        right, bottom = frame.max(axis=0)
        for side in ("left", "right"):
            eye = point(who, state, f"{side} eye", 256)
            assert x < eye[0] < right
            assert y < eye[1] < bottom


def test_a_turned_head_shows_the_ear_it_turns_away_from():
    def seen(yaw_deg: float) -> tuple[int, int]:
        """Pixels of the left and of the right ear: those that change with the ears' size."""
        big, none = (draw(someone(style="short", ears=size), State(yaw_deg=yaw_deg), 256) for size in (0.056, 1e-4))
        x = np.argwhere(np.abs(big.astype(int) - none).max(axis=-1) > 25)[:, 1]
        return int((x < 128).sum()), int((x >= 128).sum())

    left, right = seen(30)
    assert left > 150
    assert right < 0.2 * left
    assert seen(-30) == pytest.approx((right, left), abs=0.1 * left)
