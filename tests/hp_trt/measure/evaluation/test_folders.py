from __future__ import annotations

import json

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.faces.haar import HaarLocator
from hp_trt.hunyuanportrait.geometry import corners, portrait_box
from hp_trt.measure.evaluation.folders import FolderPairs
from hp_trt.media.images import load_image
from hp_trt.media.pixels import crop_resized
from hp_trt.media.video import VideoReader
from hp_trt.sample import write_sample
from procedural.clip import clip
from tests.hp_trt.measure.evaluation.folders import write_pair


def opened(folder, protocol="self", frames=None) -> FolderPairs:
    return FolderPairs(protocol, folder, frames, HaarLocator())


def box_of(seed: int) -> tuple[int, int, int, int]:
    return portrait_box(corners(clip(seed, frames=1, px=128).boxes()[0]), height=128, width=128)


def test_self_is_the_driving_videos_own_crop(tmp_path):
    write_pair(tmp_path / "anna", 7)
    write_pair(tmp_path / "ben", 8)
    pairs = opened(tmp_path)
    assert (list(pairs.names), pairs.frames) == (["anna", "ben"], 4)
    pair = pairs.pair(1, 64)
    decoded = list(VideoReader(tmp_path / "ben" / "driving.mp4"))
    np.testing.assert_array_equal(pair.portrait, decoded[0])
    np.testing.assert_array_equal(list(pair.driving), decoded)
    np.testing.assert_array_equal(pair.truth, [crop_resized(frame, box_of(8), 64) for frame in decoded])
    np.testing.assert_array_equal(pair.still, pair.truth[0])
    assert pair.drawn is None


def test_cross_has_the_pictures_portrait_and_no_truth(tmp_path):
    home = write_pair(tmp_path / "anna", 7)
    pair = opened(tmp_path, "cross").pair(0, 64)
    np.testing.assert_array_equal(pair.portrait, load_image(home / "portrait.png"))
    np.testing.assert_array_equal(pair.still, crop_resized(pair.portrait, box_of(8), 64))
    assert pair.truth is None and len(pair.driver) == 4


def test_a_sample_is_a_pair(tmp_path):
    write_sample(tmp_path / "sample", frames=3)
    pair = opened(tmp_path, "cross").pair(0, 64)
    assert len(pair.driver) == 3 and not pair.driving_faces.reads_pixels


def test_self_needs_no_portrait(tmp_path):
    (write_pair(tmp_path / "anna", 7) / "portrait.png").unlink()
    assert opened(tmp_path).frames == 4


def test_only_so_many_frames_are_taken_as_are_asked_for(tmp_path):
    write_pair(tmp_path / "anna", 7, frames=6)
    write_pair(tmp_path / "ben", 8, frames=4)
    pairs = opened(tmp_path, frames=3)
    assert pairs.frames == len(pairs.pair(0, 64).driving) == len(list(pairs.pair(0, 64).driving)) == 3


def test_a_detector_looks_where_no_landmarks_are_given(tmp_path):
    from hp_trt.measure.evaluation.drawn import known_faces

    write_pair(tmp_path / "anna", 7, landmarks=False)
    sure = known_faces(clip(7, frames=4, px=128))

    class Sure(HaarLocator):
        def locate(self, image, frame=0):
            return sure.locate(image, frame)

    pair = FolderPairs("self", tmp_path, None, Sure()).pair(0, 64)
    assert pair.driving_faces.steadiness == HaarLocator.steadiness
    assert pair.driving_faces.locate(pair.portrait, 2) == sure.locate(pair.portrait, 2)


def without(name):
    return lambda home: (home / name).unlink()


def edited(change):
    def harm(home):
        file = home / "driving.landmarks.json"
        data = json.loads(file.read_text())
        change(data["frames"])
        file.write_text(json.dumps(data))

    return harm


def move_away(frames):
    face = frames[2][0]
    face["landmarks"] = [[x + 140, y] for x, y in face["landmarks"]]


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (without("driving.mp4"), "anna has no driving.mp4"),
        (without("portrait.png"), "anna has no portrait.png"),
        (lambda home: (home / "driving.mov").touch(), "anna has driving.mov and driving.mp4; needed is one"),
        (edited(lambda frames: frames[1].clear()), "no face at frame 1"),
        (edited(move_away), "the face leaves the picture at frame 2"),
        (edited(lambda frames: frames.pop()), "has 3 frames and frame 3 is asked for"),
    ],
    ids="driving portrait two no-face leaves short-landmarks".split(),
)
def test_what_is_no_pair_gets_one_line(tmp_path, harm, says):
    harm(write_pair(tmp_path / "anna", 7))
    with pytest.raises(InputError) as told:
        opened(tmp_path, "cross")
    assert says in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("other", "frames", "says"),
    [
        ({"frames": 5}, None, "has 5 frames and "),
        ({"px": 96}, None, "has frames of 96 x 96 pixels and "),
        ({}, 5, "has 4 frames and --frames asks for 5"),
    ],
)
def test_clips_that_cannot_be_compared_are_refused(tmp_path, other, frames, says):
    write_pair(tmp_path / "anna", 7)
    write_pair(tmp_path / "ben", 8, **other)
    with pytest.raises(InputError, match=says) as told:
        opened(tmp_path, frames=frames)
    assert "\n" not in str(told.value)


def test_one_frame_is_no_clip(tmp_path):
    write_pair(tmp_path / "anna", 7, frames=1)
    with pytest.raises(InputError, match="has 1 frame and needed are at least 3"):
        opened(tmp_path)


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: folder.mkdir()], ids=["none", "empty"])
def test_no_pairs_is_told(tmp_path, make):
    make(tmp_path / "pairs")
    with pytest.raises(InputError, match=r"is no folder|has no pairs; needed are subfolders with driving\.mp4"):
        opened(tmp_path / "pairs")
