"""What the shipped sync judge says of drawn people whose sound is shifted."""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.measure.metrics.sound_features import log_mel
from hp_trt.measure.metrics.sync_judge import (
    MOUTH_PX,
    ROWS,
    SyncJudge,
    mouths,
    picture_windows,
    sound_windows,
)
from procedural.clip import Clip
from procedural.identity import Identity
from procedural.landmarks import POINTS
from procedural.speech import sentence, talking

SEED, FRAMES, SIDE = 400_001, 75, 128


@pytest.fixture(scope="module")
def judge() -> SyncJudge:
    return SyncJudge(threads=1)


@pytest.fixture(scope="module")
def spoken():
    """Frames, landmarks, samples."""
    speech = sentence(SEED, FRAMES / 25)
    states = talking(SEED, speech.phonemes, FRAMES)
    clip = Clip(identity=Identity.random(SEED), states=tuple(states), px=SIDE)
    return clip.frames(), clip.landmarks(), speech.samples[: 640 * FRAMES]


def test_a_sound_fits_where_it_was_made_and_not_where_it_was_shifted_to(judge, spoken):
    frames, landmarks, samples = spoken
    own = judge.sync(frames, landmarks, samples)
    assert own.lag == 0 and own.confidence > 0.1
    late = judge.sync(frames, landmarks, np.roll(samples, -4 * 640))
    assert late.lag == 4, "the sound is four frames early, so the mouth is late"
    assert late.distance == pytest.approx(own.distance, abs=0.1)


def test_a_still_mouth_and_another_ones_sentence_fit_worse(judge, spoken):
    frames, landmarks, samples = spoken
    own = judge.sync(frames, landmarks, samples)
    still = judge.sync(frames[:1] * FRAMES, landmarks, samples)
    other = judge.sync(frames, landmarks, sentence(SEED + 1, FRAMES / 25).samples[: 640 * FRAMES])
    for worse in (still, other):
        assert worse.confidence < own.confidence and worse.distance > own.distance


def test_frames_of_any_size_are_seen_alike(judge, spoken):
    from hp_trt.media.pixels import resized

    frames, landmarks, samples = spoken
    large = [resized(frame, 2 * SIDE, "bicubic") for frame in frames]
    assert judge.sync(large, landmarks, samples).distance == pytest.approx(
        judge.sync(frames, landmarks, samples).distance, abs=0.02
    )


def test_a_mouth_is_cut_upright_and_below_its_corners():
    """Three dots on a head that is tilted by 30 degrees: the corners of the mouth and one right between them."""
    turn = np.deg2rad(30)
    across, down = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    middle = np.array([64.0, 70.0])
    landmarks = np.zeros((1, len(POINTS), 2))
    for name, (x, y) in {
        "left eye": (-20, -30), "right eye": (20, -30), "left mouth corner": (-10, 0), "right mouth corner": (10, 0),
    }.items():  # fmt: skip
        landmarks[0, POINTS.index(name)] = middle + x * across + y * down
    frame = np.zeros((SIDE, SIDE, 3), np.uint8)
    for x, y in (
        landmarks[0, [POINTS.index("left mouth corner"), POINTS.index("right mouth corner")]].round().astype(int)
    ):
        frame[y - 1 : y + 2, x - 1 : x + 2] = 255
    (cut,) = mouths([frame], landmarks)
    assert cut.shape == (*MOUTH_PX, 3)
    rows, columns = np.nonzero(cut[..., 0] > 100)
    assert abs(rows.mean() - (MOUTH_PX[0] / 2 - 3.5)) < 1 and abs(columns.mean() - (MOUTH_PX[1] / 2 - 0.5)) < 1
    left, right = columns[columns < columns.mean()].mean(), columns[columns > columns.mean()].mean()
    assert right - left == pytest.approx(20, abs=1) and rows.max() - rows.min() < 5, "level"


def test_a_window_of_pictures_has_the_sound_that_begins_with_it():
    seen = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((1, *MOUTH_PX, 3), np.uint8)
    pictures = picture_windows(seen)
    assert pictures.shape == (3, 15, *MOUTH_PX)
    assert (pictures[2, :, 0, 0] * 255).round().tolist() == [frame for frame in (2, 3, 4, 5, 6) for _ in range(3)]
    heard = sound_windows(np.arange(28, dtype=np.float32)[:, None] * np.ones((1, 40), np.float32))
    assert heard.shape == (3, ROWS, 40) and heard[2, :, 0].tolist() == list(range(8, 28))


def test_one_window_is_a_clip_of_its_own(judge, spoken):
    frames, landmarks, samples = spoken
    vectors = judge.of_pictures(mouths(frames[:5], landmarks[:5]))
    assert vectors.shape == (1, 64) and np.linalg.norm(vectors) == pytest.approx(1, abs=1e-3)
    assert judge.of_sound(log_mel(samples)[:20]).shape == (1, 64)
