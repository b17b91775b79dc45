from __future__ import annotations

import numpy as np
import pytest

from hp_trt.faces.haar import HaarLocator
from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.hunyuanportrait.driving import DrivingCrop
from hp_trt.hunyuanportrait.live_crops import LiveCrops
from procedural.clip import clip
from tests.hp_trt.hunyuanportrait.test_driving import assert_same, face, frames, locator

GEOMETRY = {"crop_px": 32, "motion_px": 16}


def see(images, where, **options) -> tuple[LiveCrops, list[DrivingCrop | None]]:
    live = LiveCrops(where, GEOMETRY, **options)
    return live, [live.crop(image, i) for i, image in enumerate(images)]


@pytest.fixture(scope="module")
def drawn() -> list[np.ndarray]:
    return clip(2, frames=36, px=128).frames()


def test_a_followed_face_that_is_gone_is_seen_as_the_last_frame_with_it(drawn):
    """Frames 15 to 24 are black; frame 25 is one in which the whole picture is searched."""
    gone = [image * 0 if 15 <= i < 25 else image for i, image in enumerate(drawn)]
    held = [drawn[14] if 15 <= i < 25 else image for i, image in enumerate(drawn)]
    (live, found), (other, expected) = see(gone, HaarLocator()), see(held, HaarLocator())
    assert_same(found, expected)
    assert live.intensity(found) == LiveCrops(HaarLocator(), GEOMETRY).intensity(expected)
    assert live.held == other.held + 10


def test_the_first_face_comes_late_and_nothing_is_made_before():
    live, found = see(frames(4), locator([], [face(40)], [], [face(44)]))
    assert found[0] is None and all(found[1:])
    assert_same([found[2]], [found[1]])
    assert (live.faceless, live.frames, live.held) == (1, 3, 1)


def test_the_same_person_is_followed_in_every_frame():
    answers = [[face(25, side=20 + i), face(70, side=26 - i)] for i in range(8)]
    live, found = see(frames(8), locator(*answers))
    assert [crop.landmarks[2, 0] for crop in found] == [70] * 8
    assert "8 of 8 driving frames show several faces, up to 2: one was followed, the largest at the start" in (
        live.notes()
    )


@pytest.mark.parametrize("cuts", ["anew", "released"])
def test_a_cut_sets_the_crop_anew_and_what_moved_before_it_is_forgotten(cuts):
    shots = [np.random.default_rng(9 + i // 3).integers(0, 256, (80, 100, 3), dtype=np.uint8) for i in range(6)]
    answers = [[face(20, 20, 14)]] * 3 + [[face(62, 44, 34)]] * 3
    live, found = see(shots, locator(*answers), cuts=cuts)
    alone = see(shots[3:], locator(*answers[3:]))[1]
    if cuts == "anew":
        assert_same(found[3:], alone)
        assert live.intensity(found) == (0, 0)  # nobody moves in either shot
        assert live.notes() == ["a scene cut at frame 3: the crop was set anew"]
    else:
        assert (found[3].pose_image != alone[0].pose_image).any()
        assert live.intensity(found)[0] > 0


def test_a_picture_of_another_size_without_a_face_holds_the_last_one():
    images = [*frames(2), np.zeros((40, 60, 3), np.uint8)]

    class Resized(LandmarksFile):
        def locate(self, image, frame=0):
            return [face(40)] if image.shape[0] == 80 else []

    live, found = see(images, Resized([], height=0, width=0, name="a test"))
    assert_same([found[2]], [found[1]])
    assert live.held == 1


def test_of_frames_that_are_searched_around_the_face_alone_no_count_of_faces_is_claimed(drawn):
    """Two people in each of 12 frames; after the first only the followed one is looked for."""
    both = [np.concatenate([first, second], axis=1) for first, second in zip(drawn, drawn[12:24], strict=False)]
    live, _ = see(both[:12], HaarLocator())
    (note,) = (note for note in live.notes() if "several faces" in note)
    assert note.startswith("at least ") and int(note.split()[2]) < 12
