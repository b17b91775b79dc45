from __future__ import annotations

import numpy as np
import pytest

from engines.errors import FaceNotFound, InputError
from hp_trt.faces.face import Face
from hp_trt.faces.haar import HaarLocator
from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.hunyuanportrait.driving import DrivingCrop, DrivingCrops, first_face, first_seen
from hp_trt.media.video import VideoReader

SHAPE = np.array([[-8.0, -8], [8, -8], [0, 0], [-6, 8], [6, 8]])


def face(x: float, y: float = 40, side: float = 30) -> Face:
    return Face(box=(x - side / 2, y - side / 2, side, side), landmarks=SHAPE + np.array([x, y]), score=1.0)


def frames(count: int) -> list[np.ndarray]:
    return [np.random.default_rng(i).integers(0, 256, (80, 100, 3), dtype=np.uint8) for i in range(count)]


def locator(*answers: list[Face], steadiness: float = 0.0) -> LandmarksFile:
    found = LandmarksFile(answers, height=80, width=100, name="a test")
    found.steadiness = steadiness
    return found


def walk(answers: list[list[Face]], **options) -> tuple[DrivingCrops, list]:
    return see(frames(len(answers)), answers, **options)


def see(clip: list[np.ndarray], answers: list[list[Face]], *, cuts="released", **options):
    where = locator(*answers, **options)
    shown, first = first_seen(clip, where)
    crops = DrivingCrops(where, first, shown=shown, crop_px=32, size=16, cuts=cuts)
    return crops, list(crops.crops(clip))


def assert_same(found: list[DrivingCrop], expected: list[DrivingCrop]) -> None:
    for name in ("face_image", "pose_image", "landmarks"):
        np.testing.assert_array_equal(*([getattr(crop, name) for crop in crops] for crops in (found, expected)))


def test_each_frame_gives_two_images_and_its_landmarks():
    crops, found = walk([[face(40)], [face(45)]])
    assert [f.face_image.shape for f in found] == [f.pose_image.shape for f in found] == [(3, 16, 16)] * 2
    assert found[1].landmarks.tolist() == (SHAPE + np.array([45, 40])).tolist()
    assert all(f.face_image.dtype == np.float32 and 0 <= f.face_image.min() <= f.face_image.max() <= 1 for f in found)
    assert crops.notes() == []


@pytest.mark.parametrize("steadiness", [0.0, 0.5])
@pytest.mark.parametrize("lost", [{3, 4, 5}, {0, 1}, {0, 4, 8}, {7, 8}])
def test_frames_without_a_face_are_seen_as_the_nearest_one_before_or_else_the_first(lost, steadiness):
    clip, answers = frames(9), [[face(40 + 2 * i), face(15, side=12)] for i in range(9)]
    first = min(set(range(9)) - lost)
    nearest = [max((k for k in range(i + 1) if k not in lost), default=first) for i in range(9)]
    gaps = [[] if i in lost else answers[i] for i in range(9)]
    crops, found = see(clip, gaps, steadiness=steadiness)
    assert_same(found, see([clip[i] for i in nearest], [answers[i] for i in nearest], steadiness=steadiness)[1])
    assert crops.held == len(lost)
    assert f"{len(lost)} of 9 driving frames show no face: the last frame with one was held" in crops.notes()


def test_frames_without_a_face_hold_the_last_one_and_are_counted():
    crops, found = walk([[face(40)], [], [], [face(50)]])
    assert [f.landmarks[2, 0] for f in found] == [40, 40, 40, 50]
    assert crops.held == 2
    assert "2 of 4 driving frames show no face" in crops.notes()[0]


def test_frames_before_the_first_face_use_that_face():
    crops, found = walk([[], [], [face(60)], [face(50)]])
    assert [f.landmarks[2, 0] for f in found] == [60, 60, 60, 50]
    assert crops.held == 2


def test_the_first_face_is_looked_for_no_further_than_needed():
    def clip():
        yield from frames(2)
        raise AssertionError("read on after the first face")

    assert first_face(clip(), locator([], [face(33)])).landmarks[2, 0] == 33


def test_a_cut_stays_in_the_first_crop_as_released_and_says_so_or_sets_it_anew():
    shots = [np.random.default_rng(9 + i // 3).integers(0, 256, (80, 100, 3), dtype=np.uint8) for i in range(6)]
    answers = [[face(20, 20, 14)]] * 3 + [[face(62, 44, 34)]] * 3
    crops, released = see(shots, answers)
    # The released program knows of no cut: what it does is written out here.
    alone = DrivingCrops(locator(*answers[3:]), face(20, 20, 14), crop_px=32, size=16)
    assert_same(released[3:], list(alone.crops(shots[3:])))
    assert crops.notes() == [
        'a scene cut at frame 3: the crop stays where the first face set it, as released; a profile with cuts = "anew"'
        ", such as balanced, sets it anew"
    ]
    crops, anew = see(shots, answers, cuts="anew")
    assert_same(anew, [*see(shots[:3], answers[:3])[1], *see(shots[3:], answers[3:])[1]])
    assert [crop.anew for crop in anew] == [False, False, False, True, False, False]
    assert crops.notes() == ["a scene cut at frame 3: the crop was set anew"]


def test_the_face_that_was_the_largest_is_followed_when_another_grows():
    answers = [[face(25, side=20 + i), face(70, side=26 - i)] for i in range(8)]
    crops, found = walk(answers)
    assert [f.landmarks[2, 0] for f in found] == [70] * 8
    assert crops.crowded == 8


def test_of_several_faces_the_largest_is_used_and_said_so():
    crops, found = walk([[face(20, side=20), face(60, side=40)]])
    assert found[0].landmarks[2, 0] == 60
    assert (
        "1 of 1 driving frames show several faces, up to 2: one was followed, the largest at the start"
    ) in crops.notes()


def test_no_face_anywhere_says_how_many_frames_were_looked_at():
    with pytest.raises(FaceNotFound, match=r"no face in any of the 3 frames of clip.mp4 \(100 x 80 pixels\)"):
        first_face(frames(3), locator([], [], []), "clip.mp4")


def test_no_frames_at_all_is_an_input_error():
    with pytest.raises(InputError, match="has no frames"):
        first_face([], locator())


def test_jitter_is_damped_only_where_the_locator_asks_for_it():
    answers = [[face(40)], [face(44)]]
    assert walk(answers)[1][1].landmarks[2, 0] == 44
    assert walk(answers, steadiness=0.5)[1][1].landmarks[2, 0] == 42


def test_a_leap_of_the_face_is_followed_at_once():
    assert walk([[face(30)], [face(60)]], steadiness=0.5)[1][1].landmarks[2, 0] == 60


def test_the_drawn_video_shows_its_face_in_every_frame(sample):
    reader, where = VideoReader(sample[1]), HaarLocator()
    crops = DrivingCrops(where, first_face(reader, where))
    found = list(crops.crops(reader))
    assert (crops.frames, crops.held, crops.crowded) == (12, 0, 0)
    assert found[0].face_image.shape == (3, 256, 256)
