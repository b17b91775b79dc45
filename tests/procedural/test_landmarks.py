from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from procedural.draw import draw
from procedural.identity import Identity
from procedural.landmarks import POINTS, face_box, landmarks, lips_box, outline_box
from procedural.motion import State, motion

SEEDS = (0, 7, 19, 33)


def at(seed: int, name: str, px: int = 256, **state: float) -> np.ndarray:
    return landmarks(Identity.random(seed), State(**state), px)[POINTS.index(name)]


def test_the_first_five_points_are_those_of_face_detectors():
    assert POINTS[:5] == ("left eye", "right eye", "nose tip", "left mouth corner", "right mouth corner")
    assert len(set(POINTS)) == len(POINTS)
    points = landmarks(Identity.random(1), State(), 256)
    assert (points.shape, points.dtype) == ((len(POINTS), 2), np.float64)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_calm_face_is_laid_out_as_faces_are(seed):
    left, right, nose, left_mouth, right_mouth = landmarks(Identity.random(seed), State(), 256)[:5]
    assert left[0] < nose[0] < right[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert max(left[1], right[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert nose[0] == pytest.approx(127.5, abs=1e-6)  # the middle between pixels 127 and 128


def test_points_grow_with_the_picture():
    who, state = Identity.random(3), State(yaw_deg=20, jaw=0.5)
    small, large = landmarks(who, state, 100), landmarks(who, state, 300)
    assert np.allclose((large + 0.5) / 3, small + 0.5)
    assert np.allclose(face_box(who, state, 300), 3 * np.array(face_box(who, state, 100)))


@pytest.mark.parametrize("seed", range(6))
def test_an_open_eye_is_darker_at_its_iris_than_beside_it(seed):
    who = replace(Identity.random(seed), glasses=None)
    for state in (State(), State(yaw_deg=15, gaze_x=-0.6), State(roll_deg=-12, gaze_x=0.6)):
        picture = draw(who, state, 384).astype(int)
        points = landmarks(who, state, 384)
        for side in ("left", "right"):
            x, y = np.rint(points[POINTS.index(f"{side} iris")]).astype(int)
            lid_x, lid_y = np.rint(points[POINTS.index(f"{side} lower lid")]).astype(int)
            assert picture[y, x].sum() + 90 < picture[lid_y + 8, lid_x].sum()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("yaw_deg", [-25, -8, 8, 25])
def test_a_turn_moves_the_nose_most_and_the_ears_the_other_way_or_less(seed, yaw_deg):
    moved = landmarks(Identity.random(seed), State(yaw_deg=yaw_deg), 256) - landmarks(
        Identity.random(seed), State(), 256
    )
    x = dict(zip(POINTS, moved[:, 0] * np.sign(yaw_deg), strict=True))
    eyes, ears = (x["left eye"] + x["right eye"]) / 2, (x["left ear"] + x["right ear"]) / 2
    assert x["nose tip"] > eyes > 2
    assert ears < 0.15 * x["nose tip"]
    assert x["nose tip"] == max(x.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_turn_the_other_way_is_the_mirror_image(seed):
    who = Identity.random(seed)
    to_right = landmarks(who, State(yaw_deg=24, roll_deg=7, gaze_x=0.5, lid_left=0.6, brow_right=1.0), 256)
    to_left = landmarks(who, State(yaw_deg=-24, roll_deg=-7, gaze_x=-0.5, lid_right=0.6, brow_left=1.0), 256)
    swap = {"left": "right", "right": "left"}
    for name, (x, y) in zip(POINTS, to_left, strict=True):
        other = " ".join(swap.get(word.removesuffix("'s"), word) for word in name.replace("'s", " 's").split())
        mirrored = to_right[POINTS.index(other.replace(" 's", "'s"))]
        assert np.allclose((255 - x, y), mirrored), name


def test_a_turned_eye_is_narrower_on_the_far_side():
    wide = {side: [] for side in ("left", "right")}
    for side, found in wide.items():
        for yaw_deg in (0, 25):
            ends = [at(7, f"{side} eye's {end} corner", yaw_deg=yaw_deg)[0] for end in ("left", "right")]
            found.append(ends[1] - ends[0])
    assert wide["right"][1] < 0.75 * wide["right"][0]  # turned to the right, the right eye is the far one
    assert wide["right"][1] < 0.85 * wide["left"][1]


def test_a_nod_moves_the_nose_down_and_more_than_the_brows():
    names = ("nose tip", "left brow's middle")
    nose, brow = (at(7, name, pitch_deg=15)[1] - at(7, name)[1] for name in names)
    assert nose > brow > 0


def test_a_roll_turns_the_eyes_clockwise():
    left, right = at(7, "left eye", roll_deg=10), at(7, "right eye", roll_deg=10)
    assert np.degrees(np.arctan2(*(right - left)[::-1])) == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_shift_and_scale_move_all_points_and_the_box_alike(seed):
    who = Identity.random(seed)
    base, pose = landmarks(who, State(yaw_deg=10), 200), State(yaw_deg=10, shift_x=0.05, shift_y=-0.02)
    assert np.allclose(landmarks(who, pose, 200) - base, (10, -4))
    assert np.allclose(np.subtract(face_box(who, pose, 200), face_box(who, State(yaw_deg=10), 200)), (10, -4, 0, 0))
    grown = landmarks(who, State(yaw_deg=10, scale=1.1), 200)
    assert np.allclose(np.ptp(grown, axis=0), 1.1 * np.ptp(base, axis=0))


@pytest.mark.parametrize("side", ["left", "right"])
def test_lid_points_meet_when_the_eye_closes_and_the_other_eye_stays(side):
    other = "right" if side == "left" else "left"
    for lid, low, high in ((0.0, 10, 24), (1.0, -1e-9, 1.5)):
        state = {f"lid_{side}": lid}
        gap = at(7, f"{side} lower lid", **state)[1] - at(7, f"{side} upper lid", **state)[1]
        assert low < gap < high
        assert np.array_equal(at(7, f"{other} upper lid", **state), at(7, f"{other} upper lid"))


def test_the_jaw_parts_the_lips_and_lowers_the_chin():
    def gap(jaw: float) -> float:
        return at(7, "lower lip", jaw=jaw)[1] - at(7, "upper lip", jaw=jaw)[1]

    assert gap(0.0) == pytest.approx(0, abs=1e-9)
    assert gap(1.0) > 2 * gap(0.45) > 10
    assert at(7, "chin", jaw=1.0)[1] > at(7, "chin")[1] + 5


def test_corners_lift_in_a_smile_and_rounding_narrows_the_mouth():
    ends = ("left mouth corner", "right mouth corner")
    assert all(at(7, end, corners=1.0)[1] < at(7, end)[1] - 3 for end in ends)
    assert all(at(7, end, corners=-1.0)[1] > at(7, end)[1] + 3 for end in ends)
    widths = [at(7, ends[1], rounding=r)[0] - at(7, ends[0], rounding=r)[0] for r in (0.0, 1.0)]
    assert widths[1] < 0.7 * widths[0]


def test_gaze_moves_the_irises_and_brows_rise():
    for side in ("left", "right"):
        assert at(7, f"{side} iris", gaze_x=1.0)[0] > at(7, f"{side} iris", gaze_x=-1.0)[0] + 6
        assert at(7, f"{side} iris", gaze_y=1.0)[1] > at(7, f"{side} iris", gaze_y=-1.0)[1] + 3
        assert at(7, f"{side} brow's middle", **{f"brow_{side}": 1.0})[1] < at(7, f"{side} brow's middle")[1] - 5


@pytest.mark.parametrize("seed", range(12))
def test_the_box_holds_the_face_and_grown_by_itself_nearly_all_of_the_picture(seed):
    who = Identity.random(seed)
    x, y, w, h = face_box(who, State(), 1)
    assert 0.42 < w < 0.51
    assert 0.35 < h < 0.5
    assert abs(x + w / 2 - 0.5) < 1e-6
    assert x - w < 0.05
    assert x + 2 * w > 0.95
    assert y - h < 0.06
    assert y + 2 * h > 1.0
    for state in motion(seed, 20):
        x, y, w, h = face_box(who, replace(state, jaw=0.0), 256)
        inner = landmarks(who, replace(state, jaw=0.0), 256)[:5] + 0.5
        assert np.all((inner > (x, y)) & (inner < (x + w, y + h)))


def test_the_box_does_not_follow_the_expression():
    who = Identity.random(4)
    loud = State(yaw_deg=10, jaw=1.0, corners=1.0, lid_left=1.0, brow_left=1.0, rounding=0.5)
    assert face_box(who, loud, 256) == face_box(who, State(yaw_deg=10), 256)


@pytest.mark.parametrize("seed", range(12))
def test_all_of_a_moving_face_stays_in_the_picture(seed):
    who = Identity.random(seed)
    points = np.array([landmarks(who, state, 1) + 0.5 for state in motion(seed, 120)])
    assert points.min() > 0.08
    assert points.max() < 0.95


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("state", [State(), State(jaw=0.9, yaw_deg=20), State(roll_deg=15, pitch_deg=-8)])
def test_the_outline_holds_brows_and_chin_and_the_lips_hold_the_mouth(seed, state):
    who = Identity.random(seed)
    points = landmarks(who, state, 256)
    for box, names in (
        (outline_box(who, state, 256), [n for n in POINTS if "ear" not in n.split()]),
        (lips_box(who, state, 256), ["left mouth corner", "right mouth corner", "upper lip", "lower lip"]),
    ):
        x, y, w, h = box
        inner = points[[POINTS.index(name) for name in names]]
        # The nose's tip stands out of a head that is turned far; a corner's curve ends at it.
        assert (inner > (x - 1, y - 1)).all() and (inner < (x + w + 1, y + h + 1)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_an_open_jaw_lengthens_outline_and_lips_and_leaves_the_hairline(seed):
    who = Identity.random(seed)
    for box in (outline_box, lips_box):
        shut, opened = box(who, State(), 256), box(who, State(jaw=1.0), 256)
        assert opened[1] + opened[3] > shut[1] + shut[3] + 5
    assert outline_box(who, State(jaw=1.0), 256)[1] == pytest.approx(outline_box(who, State(), 256)[1])
