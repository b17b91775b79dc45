"""Training clips: what the motion networks may see, and that they are drawn once."""

import numpy as np
import pytest

from engines.errors import InputError
from export.hunyuanportrait.training.clips import (
    FIRST_DRIVING_SEED,
    Clips,
    DrivingClips,
    draw_clip,
    draw_driving_clip,
    normalised,
)
from procedural.clip import FIRST_TRAINING_SEED
from procedural.draw import draw
from procedural.identity import Identity
from procedural.motion import NAMES, State


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    made = Clips(folder=tmp_path_factory.mktemp("clips"), count=6, frames=9, px=64, motion_px=32)
    assert list(made.draw_missing()) == [0, 1, 2, 3, 4, 5, 6]
    return made


def test_a_clip_is_the_identity_of_its_seed_in_the_states_it_tells(clips):
    clip = clips.load(2)
    state = State(**dict(zip(NAMES, (float(v) for v in clip.states[4]), strict=True)))
    drawn = draw(Identity.random(FIRST_TRAINING_SEED + 2), state, 64)
    # The state went through float32: a polygon's corner may fall a 256th of a pixel further.
    assert np.abs(drawn.astype(int) - clip.pictures[4]).max() <= 8


def test_arrays_agree_in_length_and_have_the_sizes_asked_for(clips):
    clip = clips.load(0)
    assert clip.pictures.shape == (9, 64, 64, 3)
    assert clip.faces.shape == clip.poses.shape == (9, 32, 32, 3)
    assert clip.states.shape == (9, len(NAMES))
    assert clip.points.shape[0] == 9
    assert ((clip.ids >= 0) & (clip.ids <= 127)).all()


def test_drawn_clips_are_not_drawn_again(clips):
    before = {p: p.stat().st_mtime_ns for p in clips.folder.rglob("*.npy")}
    assert list(clips.draw_missing()) == [6]
    assert {p: p.stat().st_mtime_ns for p in clips.folder.rglob("*.npy")} == before


def test_the_same_seed_draws_the_same_clip():
    one, two = (draw_clip(FIRST_TRAINING_SEED + 9, frames=3, px=64, motion_px=32) for _ in range(2))
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_about_half_of_the_clips_are_driven_by_somebody_else():
    """Background colours tell: the pose picture's corner is that of who drives, the picture's the identity's."""
    other = 0
    for seed in range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + 40):
        clip = draw_clip(seed, frames=1, px=64, motion_px=64)
        other += np.abs(clip["poses"][0, 2, 2].astype(int) - clip["pictures"][0, 2, 2]).max() > 12
    assert 10 <= other <= 30  # binomial, 40 throws: outside of this once in a thousand


def test_driving_clips_are_what_the_motion_networks_see_and_no_more(tmp_path):
    drawn = DrivingClips(folder=tmp_path, count=2, frames=4, px=64, motion_px=32)
    assert list(drawn.draw_missing()) == [0, 1, 2]
    clip = drawn.load(1)
    assert clip.faces.shape == clip.poses.shape == (4, 32, 32, 3)
    assert clip.states.shape == (4, len(NAMES))
    assert not clip.states[0][NAMES.index("shift_x")]  # the first moment is a clip's first frame
    assert sorted(path.name for path in drawn.path(1).iterdir()) == ["faces.npy", "poses.npy", "states.npy"]


def test_a_driving_clip_does_in_eight_moments_what_a_clip_does_in_a_second():
    moved = draw_driving_clip(FIRST_DRIVING_SEED, frames=8, px=64, motion_px=32)["states"]
    yaw = moved[:, NAMES.index("yaw_deg")]
    assert np.ptp(yaw) > 15 and np.abs(np.diff(yaw)).max() > 5  # degrees


def test_normalised_states_are_about_zero_and_about_one(clips):
    states = normalised(np.concatenate([clips.load(n).states for n in range(6)]))
    assert np.abs(states.mean(axis=0)).max() < 2
    assert np.abs(states).max() < 6
    assert not normalised(State().vector()).any()


def test_varied_people_are_nearer_or_farther_and_their_landmarks_say_so():
    spread = []
    for seed in range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + 12):
        plain, varied = (draw_clip(seed, frames=1, px=64, motion_px=16, varied=share) for share in (0.0, 1.0))
        assert np.array_equal(plain["states"], varied["states"])
        assert not np.array_equal(plain["pictures"], varied["pictures"])
        assert varied["pictures"].shape == plain["pictures"].shape
        eyes = [np.linalg.norm(clip["points"][0, 1] - clip["points"][0, 0]) for clip in (plain, varied)]
        spread.append(eyes[1] / eyes[0])
    assert 0.6 < min(spread) < 0.95 and 1.2 < max(spread) < 1.8


def test_a_share_that_is_not_the_folders_is_refused_and_none_keeps_the_names_of_before(tmp_path):
    sizes = {"folder": tmp_path, "count": 1, "frames": 1, "px": 32, "motion_px": 16}
    list(DrivingClips(**sizes, varied=0.5).draw_missing())
    assert DrivingClips(**sizes).path(0).name == f"{FIRST_DRIVING_SEED}-1x32-16"
    DrivingClips(**sizes, varied=0.5).check_share()
    with pytest.raises(InputError, match=r"another --varied than 0\.7; go on with that"):
        DrivingClips(**sizes, varied=0.7).check_share()
    with pytest.raises(InputError, match=r"another --varied than 0;"):
        DrivingClips(**sizes).check_share()
