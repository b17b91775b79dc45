from __future__ import annotations

import numpy as np

from hp_trt.measure.metrics.parameters import ANGLES, EXPRESSION, LEAST_STD, PLACE, RANGES, seen
from procedural.motion import NAMES, State, motion


def of(state: State, name: str) -> float:
    return seen([state])[0, NAMES.index(name)]


def test_teeth_of_a_closed_mouth_and_the_gaze_of_closed_eyes_are_not_seen():
    assert of(State(teeth=0.8, jaw=0.0), "teeth") == 0
    assert np.isclose(of(State(teeth=0.8, jaw=0.5), "teeth"), 0.4)
    assert of(State(gaze_x=0.5, lid_left=1.0, lid_right=1.0), "gaze_x") == 0
    assert of(State(gaze_x=0.5, lid_left=1.0), "gaze_x") == 0.5, "one eye is enough"


def test_all_else_is_the_states_own():
    state = State(yaw_deg=3.0, scale=0.9, jaw=0.3, brow_left=-0.5)
    same = [i for i, name in enumerate(NAMES) if name not in ("teeth", "gaze_x", "gaze_y")]
    np.testing.assert_array_equal(seen([state])[0, same], state.vector()[same])


def test_every_parameter_is_an_angle_a_place_or_an_expression():
    assert sorted([*ANGLES, *PLACE, *EXPRESSION]) == list(range(len(NAMES)))
    assert [NAMES[i] for i in ANGLES] == ["yaw_deg", "pitch_deg", "roll_deg"]
    assert RANGES.shape == (len(NAMES),) and (RANGES > 0).all()


def test_a_usual_clip_moves_most_parameters():
    moves = np.mean([seen(motion(seed, 50)).std(axis=0) > LEAST_STD for seed in range(20)], axis=0)
    for name in ("yaw_deg", "pitch_deg", "jaw", "lid_left", "lid_right", "corners", "brow_left"):
        assert moves[NAMES.index(name)] > 0.6, name
