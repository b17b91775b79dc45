"""A motion file as a source of a live run: its frames at their times, and the sound of the video."""

from __future__ import annotations

import threading

import pytest

from engines.errors import InputError
from hp_trt.encoded.driver import DriverFrame
from hp_trt.media.video import VideoReader
from hp_trt.streams.motion_source import MotionSource, Move, open_driving
from hp_trt.streams.sources import Media, SoundPacket, open_source
from hp_trt.streams.speech import open_speech
from tests.hp_trt.encoded.made import FRAMES

WAYS = {"sound": True, "timeout_s": 5.0, "stop": threading.Event()}


@pytest.mark.parametrize("name", ["{}", "file://{}"])
def test_frames_and_packets_are_those_of_the_video(made_files, name):
    video, source = open_source(str(made_files.driving), **WAYS), open_driving(name.format(made_files.live), **WAYS)
    assert isinstance(source, MotionSource) and source.recorded
    assert source.rate == video.rate
    found, expected = list(source.read()), list(video.read())
    moves = [item for item in found if isinstance(item, Move)]
    assert [move.time_s for move in moves] == [f.time_s for f in VideoReader(made_files.driving).timed()]
    assert [move.frame.index for move in moves] == list(range(FRAMES))
    assert isinstance(moves[0].frame, DriverFrame)
    packets = [
        [(item.time_s, bytes(item.packet), item.packet.pts) for item in items if isinstance(item, SoundPacket)]
        for items in (found, expected)
    ]
    assert packets[0] and packets[0] == packets[1]
    late = [item.time_s for item in found]
    assert sorted(late) == late  # so that no sink waits for sound that comes later
    for opened in (source, video):
        opened.close()


def test_nobody_who_hears_nothing_gets_packets(made_files):
    source = open_driving(str(made_files.live), **{**WAYS, "sound": False})
    assert source.sound is None
    assert all(isinstance(item, Move) for item in source.read())
    source.close()


def test_a_video_is_opened_as_before(made_files):
    source = open_driving(str(made_files.driving), **WAYS)
    assert isinstance(source, Media)
    source.close()


def test_speech_is_not_heard_from_a_motion_file(made_talk):
    with pytest.raises(InputError, match="is a motion file, and a live session hears speech as it comes"):
        open_speech(str(made_talk.motion), **WAYS)


def test_a_damaged_file_is_refused_when_it_is_opened(made_files, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(made_files.live.read_bytes()[:-1])
    with pytest.raises(InputError, match="it is cut off"):
        open_driving(str(path), **WAYS)
