from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engines import safe_output
from engines.errors import InputError, OutputError
from hp_trt.media.video import VideoReader, probe
from hp_trt.media.video_writer import VideoWriter
from tests.hp_trt.clips import contents, make_clip, picture


def copied(driving: Path, out: Path, *, quick: bool = False) -> Path:
    """Every frame of `driving` through the writer."""
    reader = VideoReader(driving)
    info = reader.info
    with VideoWriter(out, width=info.width, height=info.height, driving=info, quick=quick) as writer:
        for frame in reader.timed():
            writer.write(frame.image, frame.time_s)
    return out


def left_behind(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("rate", [25, 30, Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25, 2), 1])
def test_the_result_has_the_driving_videos_frames_rate_and_sound(tmp_path, rate):
    driving = make_clip(tmp_path / "a.mp4", 12, rate=rate, audio="aac")
    before, after = contents(driving), contents(copied(driving, tmp_path / "b.mp4"))
    assert (after.rate, after.times_s, after.size) == (before.rate, before.times_s, before.size)
    assert (after.codec, after.pixel_format) == ("h264", "yuv420p")
    assert after.sound == before.sound
    assert len(before.sound) > 10
    assert left_behind(tmp_path) == ["a.mp4", "b.mp4"]


def test_a_millisecond_clock_does_not_blur_a_fractional_rate(tmp_path):
    rate = Fraction(30000, 1001)
    ticks = [round(i / rate * 1000) for i in range(30)]
    driving = make_clip(tmp_path / "a.mkv", 30, rate=rate, ticks=ticks)
    after = contents(copied(driving, tmp_path / "b.mp4"))
    steps = {b - a for a, b in zip(after.times_s, after.times_s[1:], strict=False)}
    assert len(steps) == 1
    assert float(after.rate) == pytest.approx(float(rate), rel=1e-3)  # matroska itself keeps whole milliseconds


def test_a_variable_frame_rate_keeps_every_frames_time(tmp_path):
    ticks = [0, 40, 55, 300, 301, 900]
    driving = make_clip(tmp_path / "a.mkv", 6, ticks=ticks)
    after = contents(copied(driving, tmp_path / "b.mp4"))
    # A frame may be pulled onto the rate's grid by one tick of the driving clock, never more.
    assert [float(t) for t in after.times_s] == pytest.approx([t / 1000 for t in ticks], abs=1e-3)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_frames_are_a_video(tmp_path, count):
    after = copied(make_clip(tmp_path / "a.mp4", count), tmp_path / "b.mp4")
    assert len(list(VideoReader(after))) == count


@pytest.mark.parametrize(("width", "height"), [(63, 47), (64, 47), (63, 48), (1, 1)])
def test_odd_sizes_are_padded_with_their_last_pixel(tmp_path, width, height):
    image = np.full((height, width, 3), 90, np.uint8)
    with VideoWriter(tmp_path / "a.mp4", width=width, height=height) as writer:
        writer.write(image)
    frame = next(iter(VideoReader(tmp_path / "a.mp4")))
    assert frame.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(frame.astype(int) - 90).max() <= 4  # H.264 on a flat picture


def test_colours_come_back(tmp_path):
    colours = np.array([[220, 40, 40], [40, 200, 60], [50, 60, 210], [128, 128, 128]], np.uint8)
    image = np.repeat(np.repeat(colours[None], 64, axis=0), 16, axis=1)
    with VideoWriter(tmp_path / "a.mp4", width=64, height=64) as writer:
        writer.write(image)
    frame = next(iter(VideoReader(tmp_path / "a.mp4")))
    # Away from the colours' borders; 8-bit YUV with shared chroma is off by a few levels.
    assert np.abs(frame[8::16, 8::16].astype(int) - image[8::16, 8::16]).max() <= 6


def test_sound_an_mp4_should_not_hold_is_encoded_to_aac(tmp_path):
    driving = make_clip(tmp_path / "a.mkv", 50, audio="pcm_s16le")
    after = contents(copied(driving, tmp_path / "b.mp4"))
    assert after.sound_codec == "aac"
    assert after.sound_s == pytest.approx(2.0, abs=0.1)  # AAC rounds up to its blocks of 23 ms, and primes with one


@pytest.mark.parametrize(("ending", "codec"), [("mp4", "opus"), ("mov", "aac"), ("mkv", "opus")])
def test_a_browsers_recording_keeps_its_sound_in_every_container(tmp_path, ending, codec):
    driving = make_clip(tmp_path / "a.webm", 25, codec="libvpx-vp9", audio="libopus")
    after = contents(copied(driving, tmp_path / f"b.{ending}"))
    assert len(after.times_s) == 25
    assert after.sound_codec in (codec, f"lib{codec}")
    assert after.sound_s == pytest.approx(1.0, abs=0.1)


def test_sound_of_a_transport_stream_is_copied(tmp_path):
    driving = make_clip(tmp_path / "a.ts", 25, audio="aac")
    after = contents(copied(driving, tmp_path / "b.mp4"))
    assert after.sound_codec == "aac"
    assert after.sound_s == pytest.approx(1.0, abs=0.1)


def test_sound_is_cut_where_the_pictures_were_cut(tmp_path):
    driving = make_clip(tmp_path / "a.mp4", 25, audio="aac", audio_s=6.0)
    after = contents(copied(driving, tmp_path / "b.mp4"))
    assert 1.0 <= after.sound_s <= 1.6


def test_sound_goes_in_between_the_pictures_and_not_after_them(tmp_path):
    import av

    driving = make_clip(tmp_path / "a.mp4", 200, audio="aac")
    with av.open(str(copied(driving, tmp_path / "b.mkv"))) as file:
        order = [p.stream.type for p in file.demux() if p.dts is not None]
    assert "audio" in order[: len(order) // 4]


def test_nothing_appears_before_the_end_and_an_old_result_stays(tmp_path):
    out = tmp_path / "a.mp4"
    out.write_bytes(b"the old result")
    writer = VideoWriter(out, width=64, height=48)
    writer.write(picture(0))
    assert out.read_bytes() == b"the old result"
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert out.read_bytes() == b"the old result"
    assert left_behind(tmp_path) == ["a.mp4"]


def test_a_finished_result_replaces_the_old_one(tmp_path):
    out = tmp_path / "a.mp4"
    out.write_bytes(b"the old result")
    with VideoWriter(out, width=64, height=48) as writer:
        writer.write(picture(0))
    assert probe(out).width == 64


def test_no_frame_at_all_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match="not a single frame"), VideoWriter(tmp_path / "a.mp4", width=64, height=48):
        pass
    assert left_behind(tmp_path) == []


def test_a_folder_that_does_not_exist_says_so(tmp_path):
    with pytest.raises(OutputError, match="is no folder; make it first"):
        VideoWriter(tmp_path / "missing" / "a.mp4", width=64, height=48)


def test_a_folder_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    def refused(path):  # root may write everywhere
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(safe_output, "try_place", refused)
    with pytest.raises(OutputError, match="could not be written: Permission denied; it is not writable: change the"):
        VideoWriter(tmp_path / "a.mp4", width=64, height=48)


def test_a_folder_as_result_and_an_unknown_ending_say_so(tmp_path):
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        VideoWriter(tmp_path / "a.mp4", width=64, height=48)
    with pytest.raises(OutputError, match=r"written as \.mp4, \.mov, \.mkv"):
        VideoWriter(tmp_path / "a.gif", width=64, height=48)


def test_the_driving_video_is_not_overwritten_by_its_result(tmp_path):
    driving = make_clip(tmp_path / "a.mp4", 2)
    with pytest.raises(InputError, match="is the driving video itself"):
        VideoWriter(driving, width=64, height=48, driving=probe(driving))


def test_a_size_the_encoder_refuses_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="could not be written"):
        VideoWriter(tmp_path / "a.mp4", width=40_000, height=40_000)
    assert left_behind(tmp_path) == []


def test_a_frame_of_another_size_is_a_programming_error(tmp_path):
    with pytest.raises(ValueError, match="frames of"), VideoWriter(tmp_path / "a.mp4", width=64, height=48) as writer:
        writer.write(picture(0, 32, 32))


def test_a_full_disk_while_finishing_leaves_nothing(tmp_path, monkeypatch):
    def full(*names: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with (
        pytest.raises(OutputError, match="No space left on device; free some space"),
        VideoWriter(tmp_path / "a.mp4", width=64, height=48) as writer,
    ):
        writer.write(picture(0))
    assert left_behind(tmp_path) == []


WRITE_TOO_MUCH = """
import resource, signal, sys
import numpy as np
from engines import safe_output
from engines.errors import OutputError
from hp_trt.media.video_writer import VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing past the limit then fails as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
random = np.random.default_rng(0)
try:
    with VideoWriter(sys.argv[1], width=320, height=240) as writer:
        for _ in range(int(sys.argv[2])):
            writer.write(random.integers(0, 256, (240, 320, 3), dtype=np.uint8))
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("frames", [4, 100])  # the disk is full at the very end; in the middle
def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(tmp_path, frames):
    command = [sys.executable, "-c", WRITE_TOO_MUCH, str(tmp_path / "a.mp4"), str(frames)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "a.mp4 could not be written" in result.stdout, result.stdout + result.stderr
    assert left_behind(tmp_path) == []


INTERRUPTED = """
import os, signal, sys
import numpy as np
from hp_trt.media.video_writer import VideoWriter
with VideoWriter(sys.argv[1], width=64, height=48) as writer:
    while True:
        writer.write(np.zeros((48, 64, 3), np.uint8))
        if writer.frames == 100:
            os.kill(os.getpid(), signal.SIGINT)
"""


def test_ctrl_c_leaves_nothing(tmp_path):
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "a.mp4")]
    result = subprocess.run(command, capture_output=True, check=False)
    assert result.returncode in (-signal.SIGINT, 130)
    assert left_behind(tmp_path) == []


def test_a_quick_encoder_keeps_frames_times_and_sound_and_gives_the_same_bytes(tmp_path):
    driving = make_clip(tmp_path / "a.mp4", 12, rate=Fraction(30000, 1001), audio="aac")
    slow = contents(copied(driving, tmp_path / "slow.mp4"))
    outs = [copied(driving, tmp_path / f"{name}.mp4", quick=True) for name in "bc"]
    quick = contents(outs[0])
    assert (quick.rate, quick.times_s, quick.size, quick.sound) == (slow.rate, slow.times_s, slow.size, slow.sound)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    # x264 writes its settings into the file.
    assert b"subme=0" in outs[0].read_bytes()
    assert b" threads=1 " in outs[0].read_bytes()
    off = np.stack(list(VideoReader(outs[0]))).astype(float) - np.stack(list(VideoReader(driving)))
    assert np.abs(off).mean() < 2  # levels, of what was encoded twice
