"""Recorded clips: they hold what the runtime itself would cut of these videos, and no person is learnt and measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.errors import InputError
from export.hunyuanportrait.training.clips import in_bytes
from export.hunyuanportrait.training.recorded import RecordedClips, Recording, clip_arrays, split_by_video
from hp_trt.faces.locators import open_locator
from hp_trt.hunyuanportrait.driving import DrivingCrops, first_face
from hp_trt.hunyuanportrait.geometry import motion_ids
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.measure.evaluation.pairs import KnownFaces
from hp_trt.media.pixels import crop_resized
from hp_trt.media.video import VideoReader
from hp_trt.sample import landmarks_beside
from tests.export.hunyuanportrait.training.videos import write_video


def clips(tmp_path, **changes) -> RecordedClips:
    sizes = {"count": 9, "held_out": 1, "frames": 4, "px": 32, "motion_px": 24} | changes
    return RecordedClips(folder=tmp_path / "run" / "clips", recording=Recording(videos=tmp_path / "videos"), **sizes)


def cut(tmp_path, **changes) -> RecordedClips:
    made = clips(tmp_path, **changes)
    list(made.draw_missing())
    return made


@pytest.fixture
def folder(tmp_path):
    """Two clips and a piece of anna, who comes late, one of ben; nobody in empty; too little of short."""
    write_video(tmp_path / "videos" / "anna.mp4", 7, frames=12, faceless=2)
    write_video(tmp_path / "videos" / "ben.mp4", 8, frames=5)
    write_video(tmp_path / "videos" / "empty.mp4", 9, frames=5, faces=False)
    write_video(tmp_path / "videos" / "short.mp4", 10, frames=3)
    return tmp_path


def test_a_clip_holds_what_the_runtime_cuts_of_the_same_frames(folder):
    made = cut(folder)
    video = folder / "videos" / "anna.mp4"
    frames = list(VideoReader(video))
    known = open_locator("landmarks", landmarks_beside(video))
    for number, first in ((0, 2), (1, 6)):
        clip, images = made.load(number), frames[first : first + 4]
        here = KnownFaces(name="here", frames=[known.locate(frames[0], first + i) for i in range(4)])
        portrait = portrait_crop(images[0], here, crop_px=32)
        np.testing.assert_array_equal(clip.pictures[0], portrait.crop)
        np.testing.assert_array_equal(clip.pictures, [crop_resized(image, portrait.box, 32) for image in images])
        crops = list(DrivingCrops(here, first_face(images, here), crop_px=32, size=24).crops(images))
        np.testing.assert_array_equal(clip.faces, [in_bytes(crop.face_image) for crop in crops])
        np.testing.assert_array_equal(clip.poses, [in_bytes(crop.pose_image) for crop in crops])
        # Eight bits of what the runtime has in float: half a level at most.
        np.testing.assert_allclose(clip.faces[2] / 255, crops[2].face_image.transpose(1, 2, 0), atol=0.5 / 255 + 1e-6)
        seen = np.stack([crop.landmarks for crop in crops])
        assert tuple(clip.ids) == motion_ids(seen)
        x0, y0, x1, _ = portrait.box
        np.testing.assert_allclose(clip.points, (seen + 0.5 - (x0, y0)) * 32 / (x1 - x0) - 0.5, atol=1e-3)
        assert not clip.identities.any() and clip.identities.shape == (4, 512)


def test_the_identity_is_that_of_the_portrait_as_the_runtime_aligns_it():
    from hp_trt.measure.evaluation.drawn import known_faces
    from procedural.clip import clip as drawn

    made = drawn(7, frames=3, px=64)
    images, known = list(made.frames()), known_faces(made)
    arrays = clip_arrays(images, known, px=32, motion_px=24, embed=lambda face: np.resize(face, (1, 512)))
    wanted = portrait_crop(images[0], known, crop_px=32).arcface
    np.testing.assert_array_equal(arrays["identities"][0], np.resize(wanted, 512))
    assert np.abs(arrays["identities"][2] - arrays["identities"][0]).max() > 0


def test_videos_without_a_clip_are_left_out_and_named_in_one_line(folder):
    made = cut(folder)
    assert made.note() == (
        "2 of 4 videos give no clip (empty.mp4: no face; short.mp4: a face for 3 frames, needed are 4)"
    )
    assert made.ready() == [0, 1] and replace(made, held=True).ready() == [2]  # anna's, and ben's


def test_a_clip_whose_face_is_lost_is_left_out(tmp_path):
    video = write_video(tmp_path / "videos" / "a.mp4", 7, frames=4)
    known = open_locator("landmarks", landmarks_beside(video))
    lost = KnownFaces(name="lost", frames=[known.frames[0], [], [], known.frames[3]])
    with pytest.raises(InputError, match="the face is lost in 2 of 4 frames"):
        clip_arrays(list(VideoReader(video)), lost, px=32, motion_px=24)


def test_every_video_gives_its_part_of_the_clips(tmp_path):
    for seed in (1, 2, 3):
        write_video(tmp_path / "videos" / f"{seed}.mp4", seed, frames=12)
    made = cut(tmp_path, count=2, held_out=1)
    assert made.ready() == [0, 1] and replace(made, held=True).ready() == [2]


@pytest.mark.parametrize(
    ("gives", "held_out", "split"),
    [
        ([3, 2, 2], 2, ([0, 1, 2, 3, 4], [5, 6])),
        ([3, 2, 2], 1, ([0, 1, 2, 3, 4], [6])),  # of a person who is measured, nothing is learnt
        ([0, 4, 0], 1, ([0, 1, 2], [3])),  # one video: its last clips
        ([1, 1], 6, ([0], [1])),
        ([1], 6, ([], [])),
    ],
)
def test_the_last_clips_are_held_out_and_no_video_is_in_both(gives, held_out, split):
    assert split_by_video(gives, held_out) == split


def test_a_killed_run_goes_on_and_a_finished_one_looks_at_no_video_again(folder, monkeypatch):
    half = clips(folder).draw_missing()
    assert [next(half), next(half)] == [0, 1]
    half.close()
    assert clips(folder).ready() == []  # not before all have been looked through
    before = clips(folder).path(0).stat().st_mtime_ns
    made = cut(folder)
    assert made.path(0).stat().st_mtime_ns == before and made.ready() == [0, 1]
    monkeypatch.setattr("export.hunyuanportrait.training.recorded.VideoReader", None)
    assert list(made.draw_missing()) == [9]


def test_clips_of_another_recording_are_told(folder):
    cut(folder)
    with pytest.raises(InputError, match="cut with other frames; give what it was given then, or give the run another"):
        clips(folder, frames=5).ready()
    write_video(folder / "videos" / "more.mp4", 11, frames=4)
    with pytest.raises(InputError, match="cut with other videos"):
        clips(folder).ready()


def test_drawn_clips_are_not_mixed_with_recorded_ones(folder):
    (folder / "run" / "clips" / "1000000-32x128-96").mkdir(parents=True)
    with pytest.raises(InputError, match="a run on drawn clips; give the run with --videos another folder"):
        cut(folder)


def test_where_no_video_gives_a_clip_everything_is_said_in_one_line(tmp_path):
    write_video(tmp_path / "videos" / "short.mp4", 10, frames=3)
    (tmp_path / "videos" / "torn.mov").write_bytes(b"no video")
    with pytest.raises(InputError) as caught:
        cut(tmp_path)
    (line,) = str(caught.value).splitlines()
    assert "2 videos in" in line and "give 0 clips of 4 frames (short.mp4: a face for 3 frames, needed are 4;" in line
    assert "torn.mov" in line and "needed are two at least" in line and "choose a better --locator" in line
    write_video(tmp_path / "videos" / "long.mp4", 11, frames=8)
    assert cut(tmp_path).ready() == [0]  # more videos may come


@pytest.mark.parametrize(("made", "says"), [(False, "is not a folder"), (True, "has no videos")])
def test_a_folder_without_videos_is_told(tmp_path, made, says):
    if made:
        (tmp_path / "videos").mkdir()
    with pytest.raises(InputError, match=says):
        cut(tmp_path)
