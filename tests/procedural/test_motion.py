from __future__ import annotations

import numpy as np
import pytest

from procedural.motion import NAMES, State, motion

SEEDS = range(60)


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    """(seeds, 50, names): two seconds of everybody."""
    return np.array([[state.vector() for state in motion(seed, 50)] for seed in SEEDS])


def column(clips: np.ndarray, name: str) -> np.ndarray:
    return clips[..., NAMES.index(name)]


def test_a_state_as_a_vector_has_its_fields_in_the_order_of_the_names():
    vector = State(yaw_deg=3.0, lid_right=0.5, teeth=0.25).vector()
    assert vector.dtype == np.float32
    assert dict(zip(NAMES, vector.tolist(), strict=True)) == {
        **dict.fromkeys(NAMES, 0.0), "yaw_deg": 3.0, "scale": 1.0, "lid_right": 0.5, "teeth": 0.25
    }  # fmt: skip


def test_a_seed_moves_alike_every_time_and_other_seeds_otherwise(clips):
    assert motion(5, 30) == motion(5, 30)
    yaws = column(clips, "yaw_deg")
    assert min(np.abs(yaws[i] - yaws[i + 1]).max() for i in range(len(yaws) - 1)) > 1


@pytest.mark.parametrize("frames", [0, 1, 2, 49, 333])
def test_a_longer_clip_begins_like_a_shorter_one(frames):
    short = motion(9, frames)
    assert len(short) == frames
    assert motion(9, frames + 77)[:frames] == short


def test_another_frame_rate_shows_the_same_motion_at_other_times():
    assert motion(4, 21, fps=50)[::2] == motion(4, 11, fps=25)


def test_a_clip_starts_unmoved_open_eyed_and_nearly_frontal(clips):
    first = clips[:, :1]
    assert np.all(column(first, "shift_x") == 0)
    assert np.all(column(first, "shift_y") == 0)
    assert np.all(column(first, "scale") == 1)
    assert max(column(first, name).max() for name in ("lid_left", "lid_right")) < 0.2
    assert max(np.abs(column(first, f"{name}_deg")).max() for name in ("yaw", "pitch", "roll")) <= 12
    assert np.abs(column(first, "yaw_deg")).max() > 6  # and not always frontal


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("yaw_deg", 25, 45), ("pitch_deg", 12, 25), ("roll_deg", 6, 16), ("jaw", 0.5, 1), ("corners", 0.6, 2)],
)
def test_two_seconds_span_much_of_what_a_head_can_do(clips, name, low, high):
    spans = np.ptp(column(clips, name), axis=1)
    assert low < np.median(spans) < high
    assert np.mean((spans > 0.75 * low) & (spans < 1.15 * high)) > 0.9


def test_every_number_stays_in_its_range(clips):
    ends = {"yaw_deg": (-30, 30), "pitch_deg": (-20, 20), "roll_deg": (-15, 15), "scale": (0.9, 1.1)}
    ends |= {"shift_x": (-0.07, 0.07), "shift_y": (-0.07, 0.07)}
    ends |= dict.fromkeys(("lid_left", "lid_right", "jaw", "rounding", "teeth"), (0, 1))
    for name in NAMES:
        low, high = ends.get(name, (-1, 1))
        assert low <= column(clips, name).min() <= column(clips, name).max() <= high, name


def test_nothing_jumps_between_frames(clips):
    most = {"yaw_deg": 4, "pitch_deg": 3, "roll_deg": 2, "shift_x": 0.01, "shift_y": 0.01, "scale": 0.01}
    most |= {"brow_left": 0.25, "brow_right": 0.25, "jaw": 0.5, "corners": 0.3, "rounding": 0.35, "teeth": 0.2}
    for name, step in most.items():
        assert np.abs(np.diff(column(clips, name), axis=1)).max() < step, name


def test_eyes_close_wholly_about_every_two_seconds_for_about_a_quarter_of_one():
    blinks, shut_s = 0, []
    for seed in range(20):
        lids = np.array([max(s.lid_left, s.lid_right) for s in motion(seed, 1000, fps=100)])  # 10 s
        half = np.flatnonzero(np.diff((lids > 0.55).astype(int)))
        blinks += len(half) // 2
        shut_s += [(b - a) / 100 for a, b in zip(half[::2], half[1::2], strict=False)]
        assert lids.max() == 1
    assert 1.5 < 20 * 10 / blinks < 2.6
    assert 0.12 < np.median(shut_s) < 0.3


def test_some_blinks_are_winks():
    both = [[(s.lid_left, s.lid_right) for s in motion(seed, 250)] for seed in range(20)]
    winks = [any(abs(left - right) > 0.8 for left, right in clip) for clip in both]
    assert any(winks)
    assert not all(winks)
