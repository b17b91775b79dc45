from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from engines.errors import InputError
from hp_trt.media.video import VideoReader, probe
from tests.hp_trt.clips import contents, make_clip, make_sound, picture

LEVELS = 4  # H.264 and the trip through YUV move a smooth ramp by a few levels


@pytest.mark.parametrize("rate", [25, 30, Fraction(30000, 1001), Fraction(25, 2), 1])
def test_a_probe_tells_size_rate_and_frames(tmp_path, rate):
    info = probe(make_clip(tmp_path / "a.mp4", 9, rate=rate))
    assert (info.width, info.height, info.rate, info.frames) == (64, 48, rate, 9)
    assert info.audio_codec is None


def test_frames_come_in_order_with_their_times(tmp_path):
    path = make_clip(tmp_path / "a.mp4", 16)
    found = list(VideoReader(path).timed())
    assert [f.time_s for f in found] == contents(path).times_s == [Fraction(i, 25) for i in range(16)]
    for number, frame in enumerate(found):
        assert frame.image.dtype == np.uint8
        assert np.abs(frame.image.astype(int) - picture(number)).max() <= LEVELS


def test_a_reader_can_be_walked_again(tmp_path):
    reader = VideoReader(make_clip(tmp_path / "a.mp4", 5))
    assert len(list(reader)) == len(list(reader)) == 5
    assert reader.notes == []


@pytest.mark.parametrize("count", [1, 2])
def test_a_video_may_be_as_short_as_one_frame(tmp_path, count):
    reader = VideoReader(make_clip(tmp_path / "a.mp4", count))
    assert len(list(reader)) == count
    assert reader.info.rate > 0


def test_a_variable_frame_rate_keeps_every_frames_time(tmp_path):
    ticks = [0, 40, 55, 300, 301, 900]
    reader = VideoReader(make_clip(tmp_path / "a.mkv", 6, ticks=ticks))
    assert [f.time_s for f in reader.timed()] == [Fraction(t, 1000) for t in ticks]


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (-90, -1), (180, 2)])
def test_the_rotation_in_the_file_is_applied(tmp_path, rotation, turns):
    reader = VideoReader(make_clip(tmp_path / "a.mp4", 2, rotation=rotation))
    image = next(iter(reader))
    expected = np.rot90(picture(0), turns)
    assert image.shape == expected.shape == (reader.info.height, reader.info.width, 3)
    assert np.abs(image.astype(int) - expected).max() <= LEVELS


def test_odd_sizes_are_read_as_they_are(tmp_path):
    reader = VideoReader(make_clip(tmp_path / "a.mkv", 2, size=(63, 47), codec="ffv1"))
    assert next(iter(reader)).shape == (47, 63, 3)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts"])
def test_a_video_cut_off_in_the_middle_gives_the_frames_it_has(tmp_path, name):
    path = make_clip(tmp_path / name, 100, audio="aac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reader = VideoReader(path)
    count = len(list(reader))
    assert 0 < count < 100
    if name == "a.mkv":  # a .ts has no header that could promise more
        assert f"s before the file should: its {count} frames are used" in reader.notes[0]


def test_an_mp4_that_lost_its_end_says_how_many_frames_were_used(tmp_path):
    path = make_clip(tmp_path / "a.mp4", 100, options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    reader = VideoReader(path)
    count = len(list(reader))
    assert 0 < count < 100
    assert reader.notes == [f"{path} is damaged or cut off: the {count} of 100 frames that can be decoded are used"]


def test_a_video_cut_off_before_its_index_says_it_cannot_be_opened(tmp_path):
    path = make_clip(tmp_path / "a.mp4", 20)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"no video that FFmpeg can open, or it is cut off \(Invalid data"):
        VideoReader(path)


def test_sound_alone_is_no_video(tmp_path):
    with pytest.raises(InputError, match="has only audio; give an mp4"):
        VideoReader(make_sound(tmp_path / "a.m4a"))


def test_a_picture_track_without_frames_is_an_input_error(tmp_path):
    path = make_clip(tmp_path / "a.mp4", 8, options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])  # the index is whole, the pictures are gone
    with pytest.raises(InputError, match="not one that can be decoded: empty, damaged or cut off"):
        VideoReader(path)


def test_a_text_a_picture_and_noise_are_no_videos(tmp_path):
    (tmp_path / "a.txt").write_text("a text that FFmpeg would draw\n" * 99)
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    (tmp_path / "a.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "empty.mp4").touch()
    for name, message in [("a.txt", "a picture or a text"), ("a.png", "a picture or a text"), ("a.mp4", "no video"),
                          ("empty.mp4", "no video")]:  # fmt: skip
        with pytest.raises(InputError, match=message):
            VideoReader(tmp_path / name)


def test_a_missing_file_and_a_folder_say_so(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        VideoReader(tmp_path / "missing.mp4")
    with pytest.raises(InputError, match="is not a file"):
        VideoReader(tmp_path)
