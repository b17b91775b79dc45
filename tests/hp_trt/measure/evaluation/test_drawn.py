from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.hunyuanportrait.geometry import corners, portrait_box
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.measure.evaluation.drawn import PICTURE_PX, DrawnPairs
from hp_trt.measure.evaluation.pairs import Crop
from hp_trt.measure.metrics.judge import JUDGE_PX
from hp_trt.measure.metrics.parameters import seen
from hp_trt.media.pixels import crop_resized
from procedural import clip as clips
from procedural.clip import Clip, clip
from procedural.identity import Identity
from procedural.landmarks import landmarks


def test_self_is_a_clip_that_drives_its_own_first_frame_and_should_come_out():
    pair = DrawnPairs("self", range(7, 8), 4).pair(0, 64)
    frames = clip(7, frames=4, px=PICTURE_PX).frames()
    np.testing.assert_array_equal(pair.portrait, frames[0])
    np.testing.assert_array_equal(pair.driving, frames)
    box = portrait_box(corners(clip(7, frames=1, px=PICTURE_PX).boxes()[0]), height=PICTURE_PX, width=PICTURE_PX)
    np.testing.assert_array_equal(pair.truth, [crop_resized(frame, box, 64) for frame in frames])
    np.testing.assert_array_equal(pair.still, pair.truth[0])


def test_the_still_crop_is_the_products_own():
    for seed in range(4):
        pair = DrawnPairs("self", range(seed, seed + 1), 3).pair(0, 64)
        crop = portrait_crop(pair.portrait, pair.portrait_faces, crop_px=64)
        np.testing.assert_array_equal(crop.crop, pair.still)


def test_cross_is_the_next_clip_of_the_ring_and_the_portraits_identity_should_do_its_motion():
    pairs = DrawnPairs("cross", range(3, 6), 3)
    for index, following in ((0, 4), (2, 3)):
        pair = pairs.pair(index, 64)
        seed = 3 + index
        driver = clip(following, frames=3, px=PICTURE_PX)
        np.testing.assert_array_equal(pair.driving, driver.frames())
        np.testing.assert_array_equal(pair.portrait, clip(seed, frames=1, px=PICTURE_PX).frames()[0])
        wanted = Clip(identity=Identity.random(seed), states=driver.states, px=PICTURE_PX).frames()
        box = portrait_box(corners(clip(seed, frames=1, px=PICTURE_PX).boxes()[0]), height=PICTURE_PX, width=PICTURE_PX)
        np.testing.assert_array_equal(pair.truth, [crop_resized(frame, box, 64) for frame in wanted])
        assert pair.drawn.own == index


def test_a_single_pair_is_driven_by_the_seed_after_it():
    driving = DrawnPairs("cross", range(3, 4), 3).pair(0, 64).driving
    np.testing.assert_array_equal(driving, clip(4, frames=3, px=PICTURE_PX).frames())


def test_landmarks_are_those_of_what_should_come_out_at_the_judges_size():
    pair = DrawnPairs("cross", range(0, 2), 3).pair(0, 64)
    states = clip(1, frames=3).states
    at_size = np.stack([landmarks(Identity.random(0), state, JUDGE_PX) for state in states])
    # The crop is the whole picture within a few pixels, or the comparison would be of another square.
    assert np.linalg.norm(pair.drawn.landmarks - at_size, axis=-1).max() < 5
    np.testing.assert_array_equal(pair.drawn.parameters, seen(states))


def test_points_move_with_the_picture_that_is_cropped():
    y, x = np.mgrid[:100, :100]
    spot = np.exp(-((x - 61.3) ** 2 + (y - 47.8) ** 2) / 18)
    picture = np.repeat((200 * spot)[:, :, None], 3, axis=2).astype(np.uint8)
    crop = Crop(box=(20, 10, 90, 80), px=140)
    cut = crop.cut(picture)[:, :, 0].astype(float)
    rows, columns = np.mgrid[:140, :140]
    middle = (cut * columns).sum() / cut.sum(), (cut * rows).sum() / cut.sum()
    np.testing.assert_allclose(crop.points(np.array([61.3, 47.8]), 140), middle, atol=0.05)


def test_the_rival_of_its_own_seed_is_the_truth():
    pair = DrawnPairs("cross", range(0, 3), 4).pair(1, 64)
    rivals = list(pair.drawn.rivals())
    assert len(rivals) == 3
    np.testing.assert_array_equal(rivals[1], [pair.truth[i] for i in pair.drawn.shown])
    assert not np.array_equal(rivals[0], rivals[1])


@pytest.mark.parametrize("protocol", ["self", "cross"])
def test_a_face_that_leaves_the_picture_is_refused_with_its_clip_and_frame(monkeypatch, protocol):
    still = clips.motion

    def leaving(seed, frames, **options):
        return [replace(state, shift_x=0.3 * (i == 2)) for i, state in enumerate(still(seed, frames, **options))]

    monkeypatch.setattr(clips, "motion", leaving)
    with pytest.raises(InputError, match="the drawn clip 5: the face leaves the picture at frame 2 ") as told:
        DrawnPairs(protocol, range(5, 6), 4)
    assert "\n" not in str(told.value)
