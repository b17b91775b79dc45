from __future__ import annotations

import av
import numpy as np
import pytest
from PIL import Image

from engines.errors import InputError
from hp_trt.measure.study import copies
from hp_trt.measure.study.copies import copy_driver, copy_picture, copy_result, copy_sound
from hp_trt.media.video import VideoReader
from tests.hp_trt.clips import contents
from tests.hp_trt.measure.study.clips import COLOURS, make_coloured, make_speech


def pictures(path):
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def packet_ends(path):
    with av.open(str(path)) as file:
        return sorted(packet.pos + packet.size for packet in file.demux(video=0) if packet.size)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_a_result_is_shown_as_it_is_and_its_copy_says_nothing_of_its_maker(tmp_path, ending):
    result = make_coloured(tmp_path / f"in.{ending}", COLOURS["live"], frames=12, sound=True, title="profile live")
    raw = result.read_bytes()
    assert b"profile live" in raw and b"x264 - core" in raw, "else there is nothing to hide"
    copy_result(result, tmp_path / "out.mp4")
    copy = (tmp_path / "out.mp4").read_bytes()
    assert b"profile" not in copy and b"x264" not in copy
    with av.open(str(tmp_path / "out.mp4")) as file:
        said = {"major_brand", "minor_version", "compatible_brands", "encoder"}  # FFmpeg's own, of any file
        assert not file.streams.audio and set(file.metadata) <= said
    assert np.array_equal(pictures(tmp_path / "out.mp4"), pictures(result))
    times = contents(tmp_path / "out.mp4").times_s
    assert [round(time * 25) for time in times] == list(range(12)) and times[0] == 0


@pytest.mark.parametrize(
    ("cut", "says"),
    [
        ("in a picture", r"whole\.mp4 cannot be copied into an mp4 .*; convert it"),
        (
            "between two",
            r"whole\.mp4 is damaged or cut off: the \d+ of 120 frames .*, and raters would grade that; make .* again",
        ),
    ],
)
def test_a_damaged_result_is_not_given_to_raters(tmp_path, cut, says):
    whole = tmp_path / "whole.mp4"  # whose index is at its beginning
    copy_result(make_coloured(tmp_path / "in.mp4", COLOURS["live"], frames=120), whole)
    copy_result(whole, tmp_path / "out.mp4")
    ends = packet_ends(whole)
    whole.write_bytes(whole.read_bytes()[: ends[-1] - 5 if cut == "in a picture" else ends[-20]])
    with pytest.raises(InputError, match=says):
        copy_result(whole, tmp_path / "out.mp4")


def test_a_result_that_its_file_turns_is_turned_in_its_copy(tmp_path):
    result = make_coloured(tmp_path / "in.mp4", COLOURS["live"], turn=90)
    copy_result(result, tmp_path / "out.mp4")
    shown, copied = (next(iter(VideoReader(path))) for path in (result, tmp_path / "out.mp4"))
    assert copied.shape == (32, 24, 3) and np.array_equal(shown, copied)


def test_a_copy_that_would_look_otherwise_is_refused(tmp_path, monkeypatch):
    result = make_coloured(tmp_path / "in.mp4", COLOURS["live"])
    other = make_coloured(tmp_path / "other.mp4", COLOURS["exact"])
    read = copies.VideoReader
    monkeypatch.setattr(copies, "VideoReader", lambda path: read(path if path == result else other))
    with pytest.raises(InputError, match=r"in\.mp4 looks otherwise once its pictures alone are .* convert it: ffmpeg"):
        copy_result(result, tmp_path / "out.mp4")


def test_a_large_picture_and_a_large_driver_are_made_smaller_and_turned(tmp_path):
    Image.new("RGB", (2048, 512), (9, 99, 199)).save(tmp_path / "in.png", pnginfo=None)
    copy_picture(tmp_path / "in.png", tmp_path / "out.png")
    made = Image.open(tmp_path / "out.png")
    assert made.size == (1024, 256) and made.getpixel((500, 100)) == (9, 99, 199)
    driver = make_coloured(tmp_path / "in.mp4", (120, 120, 120), size=(1440, 360), turn=90, frames=3)
    assert copy_driver(driver, tmp_path / "out.mp4") == []
    assert {picture.shape for picture in pictures(tmp_path / "out.mp4")} == {(720, 180, 3)}


def test_a_drivers_copy_is_heard_where_browsers_can_and_told_where_not(tmp_path):
    driver = make_coloured(tmp_path / "in.mp4", (120, 120, 120), sound=True)
    assert copy_driver(driver, tmp_path / "out.mp4") == []
    assert contents(tmp_path / "out.mp4").sound_codec == "aac"


def test_speech_becomes_sound_alone_of_the_same_length(tmp_path):
    assert copy_sound(make_speech(tmp_path / "in.wav", 0.8), tmp_path / "out.m4a") == []
    with av.open(str(tmp_path / "out.m4a")) as file:
        assert not file.streams.video and file.streams.audio[0].codec_context.name == "aac"
        heard = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert abs(len(heard) / 16000 - 0.8) < 0.13, "whole packets of AAC"
    turns = np.count_nonzero(np.diff(np.signbit(heard[2000:10000]))) / (8000 / 16000)
    assert abs(turns - 880) < 10, "the tone of 440 Hz"
