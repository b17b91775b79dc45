from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.media.driving_frames import DrivingFrames
from hp_trt.media.video import VideoReader
from hp_trt.media.video_writer import VideoWriter
from runtime.stages import Stages
from tests.hp_trt.awkward_clips import copied_from
from tests.hp_trt.clips import make_clip


def test_arrays_have_no_times_and_no_name_of_their_own():
    images = [np.full((8, 8, 3), level, np.uint8) for level in range(3)]
    frames, stages = DrivingFrames(images), Stages()
    assert (frames.name, frames.total, frames.notes) == ("the driving frames", 3, [])
    for _ in range(2):  # a clip walks through them twice
        assert [image.max() for image in frames] == [0, 1, 2]
    assert [(image.max(), time_s) for image, time_s in frames.timed(stages)] == [(0, None), (1, None), (2, None)]
    assert [span.stage for span in stages.spans].count("read") == 3


def test_a_file_has_its_path_its_times_and_its_notes(tmp_path):
    path = tmp_path / "talk.mp4"
    with VideoWriter(path, width=32, height=32, rate=Fraction(10)) as writer:
        for level in (50, 100, 150):
            writer.write(np.full((32, 32, 3), level, np.uint8))
    reader = VideoReader(path)
    for frames in (DrivingFrames(path), DrivingFrames(reader)):
        assert (frames.name, frames.total) == (str(path), 3)
        assert [time_s for _, time_s in frames.timed(Stages())] == [Fraction(n, 10) for n in range(3)]
    reader.notes = ["cut off"]
    assert DrivingFrames(reader).notes == ["cut off"]
    with pytest.raises(InputError, match="no such file"):
        DrivingFrames(tmp_path / "absent.mp4")


def test_more_frames_than_are_taken_are_told_from_the_count(tmp_path):
    path = make_clip(tmp_path / "a.mp4", 60)
    cut = copied_from(path, tmp_path / "cut.mp4", 10)
    DrivingFrames(path).check_length(60)
    DrivingFrames(cut).check_length(50)  # the edit list hides ten
    DrivingFrames(make_clip(tmp_path / "a.mkv", 60)).check_length(1)  # its header does not count them
    for driving, found in ((path, 60), (cut, 50), ([np.zeros((8, 8, 3), np.uint8)] * 5, 5)):
        with pytest.raises(InputError, match=f"has {found} frames, at most {found - 1} are taken; cut it shorter"):
            DrivingFrames(driving).check_length(found - 1)


def test_a_count_that_a_file_only_claims_refuses_nothing(tmp_path):
    path = make_clip(tmp_path / "a.avi", 100, codec="mpeg4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])  # its index is lost
    frames = DrivingFrames(path)
    assert frames.total == 100
    frames.check_length(60)
    assert len(list(frames)) < 60
