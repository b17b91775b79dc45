from __future__ import annotations

import struct
from fractions import Fraction

import pytest

from hp_trt.media.video import VideoReader
from tests.hp_trt.awkward_clips import MODES, copied_from, cut_off, patch
from tests.hp_trt.clips import contents, make_clip


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
@pytest.mark.parametrize("first", [10, 1, 30])
def test_frames_that_an_edit_list_hides_are_not_missed(tmp_path, read, name, first):
    whole = make_clip(tmp_path / "whole.mp4", 60)
    path = copied_from(whole, tmp_path / name, first)
    images, notes = read(path)
    assert len(images) == 60 - first and notes == []
    assert VideoReader(path).info.frames == 60 - first  # so that bars count right


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize("gap_at", [5, 19])
def test_empty_chunks_of_an_avi_are_not_missed(tmp_path, read, gap_at):
    whole = make_clip(tmp_path / "whole.avi", 20, codec="mpeg4")
    path = copied_from(whole, tmp_path / "a.avi", 0, gap_at=gap_at, gap=30)
    assert struct.unpack_from("<I", path.read_bytes(), path.read_bytes().index(b"avih") + 8 + 16)[0] == 50
    images, notes = read(path)
    assert len(images) == 20 and notes == []
    assert VideoReader(path).info.frames == 20


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("a.mp4", {"movflags": "faststart"}, " of 100 frames that can be decoded are used"),
        ("a.mov", {"movflags": "faststart"}, " of 100 frames that can be decoded are used"),
        ("a.avi", {}, " of 100 frames that can be decoded are used"),
        ("a.mkv", {}, " s before the file should: its "),
    ],
)
def test_a_file_that_was_cut_off_says_so(tmp_path, read, name, options, says):
    codec = "mpeg4" if name == "a.avi" else "libx264"
    images, notes = read(cut_off(make_clip(tmp_path / name, 100, options=options, codec=codec), 0.6))
    assert 0 < len(images) < 100
    (note,) = notes
    assert says in note and f" {len(images)} " in note


@pytest.mark.parametrize("read", MODES)
def test_one_byte_less_in_the_last_frame_is_told(tmp_path, read):
    path = make_clip(tmp_path / "a.mp4", 20, options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[:-1])
    _, notes = read(path)
    assert "is damaged or cut off" in notes[0]


@pytest.mark.parametrize("read", MODES)
def test_an_avi_that_promises_a_thousand_million_frames_has_those_in_its_index(tmp_path, read):
    path = make_clip(tmp_path / "a.avi", 20, codec="mpeg4")
    patch(path, b"avih", 4 + 16, struct.pack("<I", 10**9))
    patch(path, b"strh", 4 + 32, struct.pack("<I", 10**9))
    images, notes = read(path)
    assert len(images) == 20 and notes == [] and VideoReader(path).info.frames == 20


def test_a_header_that_lies_and_has_no_index_promises_nothing(tmp_path):
    path = make_clip(tmp_path / "a.avi", 20, codec="mpeg4")
    patch(path, b"avih", 4 + 16, struct.pack("<I", 10**9))
    patch(path, b"strh", 4 + 32, struct.pack("<I", 10**9))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"idx1")])
    assert VideoReader(path).info.frames is None


def test_the_frames_of_a_cut_keep_the_times_of_the_file(tmp_path):
    path = copied_from(make_clip(tmp_path / "whole.mp4", 60), tmp_path / "a.mp4", 10)
    shown = [time_s for time_s in contents(path).times_s if time_s >= 0]
    assert [frame.time_s for frame in VideoReader(path).timed()] == shown


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts", "a.mov"])
def test_sound_that_outlasts_the_pictures_is_no_missing_picture(tmp_path, read, name):
    images, notes = read(make_clip(tmp_path / name, 20, audio="aac", audio_s=20))
    assert len(images) == 20 and notes == []


@pytest.mark.parametrize("read", MODES)
def test_a_transport_stream_whose_clock_begins_again_on_the_way_misses_nothing(tmp_path, read):
    """Its 33 bits wrap, which FFmpeg undoes with times below 0: the file's length is no end on that clock."""
    ticks = [2**33 - 120 * 3600 + index * 3600 for index in range(200)]
    path = make_clip(tmp_path / "a.ts", 200, ticks=ticks, time_base=Fraction(1, 90_000), options={"mpegts_copyts": "1"})
    images, notes = read(path)
    assert len(images) == 200 and notes == []
