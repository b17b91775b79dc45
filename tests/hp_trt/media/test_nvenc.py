"""The writer with NVENC against the writer without: the same times, sound and colours in every container.

The encoder is the stand-in's: what is compared is everything of ours around it. Its pictures are near, not equal.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engines.errors import InputError, OutputError
from hp_trt.media.nvenc import settings
from hp_trt.media.video import VideoReader
from hp_trt.media.video_writer import VideoWriter
from tests.hp_trt.clips import contents, make_clip, picture
from tests.hp_trt.media.nvcodec_stand_in import PyNvEncoder, PyNvVCException, stand_in


@pytest.fixture
def library(monkeypatch):
    return stand_in(monkeypatch)


def copied(driving: Path, out: Path, **options) -> Path:
    reader = VideoReader(driving)
    info = reader.info
    with VideoWriter(out, width=info.width, height=info.height, driving=info, **options) as writer:
        for frame in reader.timed():
            writer.write(frame.image, frame.time_s)
    return out


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001)])
def test_times_sound_and_colours_are_those_of_the_cpu_in_every_container(suffix, rate, tmp_path, library):
    driving = make_clip(tmp_path / "a.mp4", 30, rate=rate, audio="aac")
    ours, theirs = copied(driving, tmp_path / f"o{suffix}", nvenc=0), copied(driving, tmp_path / f"t{suffix}")
    found, expected = contents(ours), contents(theirs)
    for name in ("size", "rate", "codec", "pixel_format", "times_s", "sound", "sound_codec"):
        assert getattr(found, name) == getattr(expected, name), name
    assert said(ours) == said(theirs)
    for a, b in zip(VideoReader(ours), VideoReader(theirs), strict=True):
        assert np.abs(a.astype(int) - b).max() <= 6  # two encoders at this quality, on a smooth ramp
    assert sorted(os.listdir(tmp_path)) == sorted(["a.mp4", ours.name, theirs.name])


def said(path: Path) -> tuple:
    """What a file says of its colours, and its clock."""
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        frame, coder = next(file.decode(video)), video.codec_context
        return frame.colorspace, frame.color_range, coder.color_trc, coder.color_primaries, video.time_base


def test_a_variable_frame_rate_keeps_every_frames_time(tmp_path, library):
    driving = make_clip(tmp_path / "a.mkv", 6, ticks=[0, 40, 55, 300, 301, 900])
    times = [contents(copied(driving, tmp_path / name, **how)).times_s for name, how in
             (("o.mp4", {"nvenc": 0}), ("t.mp4", {}))]  # fmt: skip
    assert times[0] == times[1]


def test_every_250th_picture_needs_no_other_and_none_needs_a_later_one(tmp_path, library):
    with VideoWriter(tmp_path / "a.mp4", width=64, height=48, nvenc=0) as writer:
        for number in range(260):
            writer.write(picture(number))
    with av.open(str(tmp_path / "a.mp4")) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == [0, 250]
    assert all(packet.pts == packet.dts for packet in packets)
    headers = [unit for packet in packets for unit in kinds(bytes(packet)) if unit in (7, 8)]
    assert headers == []  # they stand in the container


def kinds(packet: bytes) -> list[int]:
    """Types of the units of a packet of an mp4: each begins with its length."""
    found = []
    while packet:
        size = int.from_bytes(packet[:4], "big")
        found.append(packet[4] & 31)
        packet = packet[4 + size :]
    return found


@pytest.mark.parametrize(("width", "height"), [(63, 47), (64, 47), (63, 48)])
def test_odd_sizes_are_padded_with_their_last_pixel(width, height, tmp_path, library):
    with VideoWriter(tmp_path / "a.mp4", width=width, height=height, nvenc=0) as writer:
        writer.write(np.full((height, width, 3), 90, np.uint8))
    frame = next(iter(VideoReader(tmp_path / "a.mp4")))
    assert frame.shape == (48, 64, 3) and np.abs(frame.astype(int) - 90).max() <= 4


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_frames_are_a_video(count, tmp_path, library):
    with VideoWriter(tmp_path / "a.mp4", width=64, height=48, nvenc=0) as writer:
        for number in range(count):
            writer.write(picture(number))
    assert len(list(VideoReader(tmp_path / "a.mp4"))) == count


def test_no_frame_is_no_video(tmp_path, library):
    with (
        pytest.raises(OutputError, match=r"a.mp4 was not written: not a single frame came"),
        VideoWriter(tmp_path / "a.mp4", width=64, height=48, nvenc=0),
    ):
        pass
    assert os.listdir(tmp_path) == []


def test_the_settings_are_quantisers_of_x264s_crf_and_its_key_pictures(tmp_path, library):
    assert settings(Fraction(30000, 1001), quick=False) == {
        "preset": "P5", "tuning_info": "high_quality", "rc": "constqp", "constqp": "17,17,14", "bf": "0",
        "lookahead": "0", "gop": "250", "idrperiod": "250", "fps": "29.97",
    }  # fmt: skip
    assert settings(Fraction(25), quick=True)["constqp"] == "16,16,13"
    copied(make_clip(tmp_path / "a.mp4", 2), tmp_path / "o.mp4", nvenc=1, quick=True)
    assert [(made["gpu_id"], made["preset"]) for made in library.made] == [(1, "P1"), (1, "P1")]  # the first: a trial


@pytest.mark.parametrize(
    ("caps", "found"),
    [
        ({"width_min": 145, "height_min": 49}, "has pictures of 64 x 48, NVENC of NVIDIA L4 takes from 145 x 49 to"),
        ({"width_max": 32}, "has pictures of 64 x 48, NVENC of NVIDIA L4 takes from 32 x 32 to 32 x 4096"),
        ({"num_encoder_engines": 0}, "NVIDIA L4 has no NVENC engine"),
    ],
)
def test_what_this_gpu_does_not_take_is_refused_and_nothing_is_left(caps, found, tmp_path, library):
    library.encoder_caps |= caps
    with pytest.raises(InputError, match=found) as refused:
        VideoWriter(tmp_path / "a.mp4", width=64, height=48, nvenc=0)
    assert "leave --encoder nvenc out" in str(refused.value) and os.listdir(tmp_path) == []


def test_a_gpu_without_nvenc_is_told_in_the_librarys_words(tmp_path, library):
    library.no_encoder = "PyNvEncoderCaps : \nError code : 2"
    with pytest.raises(InputError, match=r"NVIDIA L4 has no NVENC that opens \(PyNvEncoderCaps :\); take a GPU that"):
        VideoWriter(tmp_path / "a.mp4", width=64, height=48, nvenc=0)
    assert os.listdir(tmp_path) == []


def test_a_webm_is_refused_as_without(tmp_path, library):
    with pytest.raises(OutputError, match=r"\.webm"):
        VideoWriter(tmp_path / "a.webm", width=64, height=48, nvenc=0)
    assert library.made == []


@pytest.mark.parametrize("method", ["Encode", "EndEncode"])
def test_an_encoder_that_fails_leaves_nothing_behind(method, tmp_path, library, monkeypatch):
    kept = tmp_path / "a.mp4"
    kept.write_bytes(b"before")
    writer = VideoWriter(kept, width=64, height=48, nvenc=0)
    writer.write(picture(0))

    def fail(self, *_):
        raise PyNvVCException("out of memory")

    monkeypatch.setattr(PyNvEncoder, method, fail)
    with pytest.raises(OutputError, match=r"NVENC of NVIDIA L4 .*\(out of memory\); see what else encodes there"):
        writer.write(picture(1)) if method == "Encode" else writer.close()
    assert os.listdir(tmp_path) == ["a.mp4"] and kept.read_bytes() == b"before"


def test_pictures_that_are_left_out_are_an_error(tmp_path, library, monkeypatch):
    writer = VideoWriter(tmp_path / "a.mp4", width=64, height=48, nvenc=0)
    for number in range(5):
        writer.write(picture(number))
    monkeypatch.setattr(PyNvEncoder, "EndEncode", lambda self: [])
    with pytest.raises(OutputError, match=r"NVENC left 2 pictures out; leave --encoder nvenc out"):
        writer.close()
    assert os.listdir(tmp_path) == []


def test_an_encoder_that_makes_nothing_of_a_blank_picture_is_refused_before_the_work(tmp_path, library, monkeypatch):
    monkeypatch.setattr(PyNvEncoder, "EndEncode", lambda self: [])
    with pytest.raises(OutputError, match=r"NVENC made no H.264 of a blank picture \(found 0 x 0, needed 64 x 48\)"):
        VideoWriter(tmp_path / "a.mp4", width=64, height=48, nvenc=0)
    assert os.listdir(tmp_path) == []


def test_a_header_that_changes_on_the_way_is_an_error(tmp_path, library, monkeypatch):
    writer = VideoWriter(tmp_path / "a.mp4", width=64, height=48, nvenc=0)
    real = PyNvEncoder._told

    def told(self, packet):
        return {**real(self, packet), "data": b"\x00\x00\x01\x67other" + bytes(packet)}

    monkeypatch.setattr(PyNvEncoder, "_told", told)
    for number in range(PyNvEncoder.held):
        writer.write(picture(number))
    with pytest.raises(OutputError, match="NVENC changed its header on the way"):
        writer.write(picture(9))
    assert os.listdir(tmp_path) == []
