"""No machine of ours has such a device: what it would say is said by a stand-in, and FFmpeg's raw video stands where
its v4l2 would be, so that every byte which a device would get can be looked at."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from engines.errors import InputError, OutputError
from hp_trt.live.run import check_apart
from hp_trt.media.video_writer import SUFFIXES
from hp_trt.streams import virtual_camera
from hp_trt.streams.sink import Shape
from hp_trt.streams.sinks import is_shown, plan_sink
from hp_trt.streams.virtual_camera import VirtualCamera, is_camera

QUERYCAP, G_FMT = 2154321408, 3234878980  # as C's headers give them on x86-64
CAPTURE, OUTPUT, READWRITE, STREAMING, DEVICE_CAPS = 1, 2, 1 << 24, 1 << 26, 1 << 31
LOOPBACK = OUTPUT | READWRITE | STREAMING


class Loopback:
    """A device that says what it can do, and which format it keeps."""

    def __init__(self, patch, path, *, able=LOOPBACK, of_node=True, kept=None):
        self.path, self.able, self.of_node, self.kept = path, able, of_node, kept
        self.size = (0, 0)
        patch.setattr(fcntl, "ioctl", self.ioctl)
        patch.setattr(virtual_camera, "open_device", self.opened)

    def ioctl(self, handle, request, about):
        assert os.fstat(handle).st_rdev == os.stat(self.path).st_rdev
        if request == QUERYCAP:
            everything = DEVICE_CAPS | CAPTURE | self.able if self.of_node else self.able
            own = self.able if self.of_node else 0
            about[:] = struct.pack("16s32s32sIII12x", b"v4l2 loopback", b"hp-trt", b"x", 0, everything, own)
        else:
            assert request == G_FMT and struct.unpack_from("I", about)[0] == 2
            width, height, form = self.kept or (*self.size, b"YUYV")
            about[8:20] = struct.pack("II4s", width, height, form)

    def opened(self, path):
        assert path == self.path
        container = av.open(str(self.written), "w", format="rawvideo")

        def add_stream(*args, **options):
            self.stream = container.add_stream(*args, **options)
            return self.stream

        def start_encoding():
            self.size = self.stream.width, self.stream.height
            container.start_encoding()

        return SimpleNamespace(
            add_stream=add_stream, start_encoding=start_encoding, mux=container.mux, close=container.close
        )


@pytest.fixture
def device(tmp_path, monkeypatch):
    """Any character device: what is asked of it, the stand-in answers."""
    found = Loopback(monkeypatch, Path("/dev/null"))
    found.written = tmp_path / "bytes"
    return found


def shaped(width, height):
    return Shape(width=width, height=height, rate=Fraction(25))


def yuyv(colour):
    """One pixel pair of a plain colour, by the standard's own formula (BT.601, 8 bits, limited range)."""
    red, green, blue = (value / 255 for value in colour)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    y, u, v = 16 + 219 * luma, 128 + 224 * (blue - luma) / 1.772, 128 + 224 * (red - luma) / 1.402
    return np.array([y, u, y, v])


def test_a_device_gets_yuyv_of_the_pictures_size_and_nothing_else(device):
    sink = plan_sink(str(device.path), container_format=None, timeout_s=1, stop=threading.Event())
    assert isinstance(sink, VirtualCamera) and not sink.hears and sink.watched()
    sink.open(shaped(31, 18))
    colours = [(200, 30, 60), (10, 120, 240), (255, 255, 255)]
    for number, colour in enumerate(colours):
        sink.write(np.full((18, 31, 3), colour, np.uint8), Fraction(number, 25))
    sink.close()
    sink.close()
    got = np.frombuffer(device.written.read_bytes(), np.uint8).reshape(len(colours), 18, 16, 4)  # an odd side is even
    for picture, colour in zip(got, colours, strict=True):
        assert np.abs(picture - yuyv(colour)).max() <= 1.5, "rounding alone"


def test_a_device_that_was_not_opened_is_closed_without_a_word(device):
    VirtualCamera(device.path).close()
    assert not device.written.exists()


@pytest.mark.parametrize(
    ("able", "of_node", "says"),
    [
        (CAPTURE | READWRITE, True, "/dev/null (hp-trt) is a camera, which pictures come from; make a virtual camera"),
        (CAPTURE | READWRITE, False, "is a camera, which pictures come from"),
        (READWRITE, True, "is no device that takes pictures"),
        (OUTPUT | STREAMING, True, "takes pictures by mapped memory alone, and is written to here"),
    ],
)
def test_a_device_that_says_it_takes_no_pictures_is_refused_before_any_work(device, able, of_node, says):
    device.able, device.of_node = able, of_node
    with pytest.raises(OutputError) as error:
        VirtualCamera(device.path)
    assert says in str(error.value) and "modprobe v4l2loopback" in str(error.value)


def test_a_loopback_that_may_be_read_as_well_is_taken(device):
    device.able = LOOPBACK | CAPTURE
    VirtualCamera(device.path)


def test_a_device_that_keeps_another_format_is_told_and_closed(device):
    device.kept = (640, 480, b"YU12")
    sink = VirtualCamera(device.path)
    with pytest.raises(OutputError, match="keeps pictures of 640 x 480 as YU12, and gets 64 x 48 as YUYV; close the"):
        sink.open(shaped(64, 48))
    sink.close()


def test_what_is_no_device_says_how_to_make_one(tmp_path):
    with pytest.raises(OutputError, match=r"video9999 is not there \(No such file.*sudo modprobe v4l2loopback"):
        plan_sink("/dev/video9999", container_format=None, timeout_s=1, stop=threading.Event())
    file = tmp_path / "video3"
    file.write_bytes(b"mine")
    with pytest.raises(OutputError, match="is no device; remove what is there"):
        VirtualCamera(file)
    assert file.read_bytes() == b"mine"


def test_a_device_of_another_kind_is_refused_by_its_own_answer():
    with pytest.raises(OutputError, match=r"/dev/null is no video device, or it is taken \(Inappropriate ioctl"):
        plan_sink("/dev/null", container_format=None, timeout_s=1, stop=threading.Event())


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.EACCES, "is not yours to write .* usermod -a -G video"), (errno.EBUSY, "or it is taken .* name another")],
)
def test_a_device_that_cannot_be_opened_says_why(device, monkeypatch, number, says):
    def refused(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(OutputError, match=says):
        VirtualCamera(device.path)


def test_a_device_that_goes_away_ends_the_run_with_what_to_do(device, monkeypatch):
    sink = VirtualCamera(device.path)
    sink.open(shaped(64, 48))

    class Gone:
        def encode(self, frame):
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    sink._stream = Gone()
    with pytest.raises(OutputError, match=r"/dev/null does not take the pictures \(No such device\); close what else"):
        sink.write(np.zeros((48, 64, 3), np.uint8), Fraction(0))
    sink.close()


def test_elsewhere_than_on_linux_it_is_told(monkeypatch, device):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OutputError, match="is Linux's v4l2loopback, and this is darwin; show it with another program"):
        VirtualCamera(device.path)


def test_a_container_format_is_none_of_a_device():
    with pytest.raises(OutputError, match="--format is for standard output and URLs, /dev/video9 is neither"):
        plan_sink("/dev/video9", container_format="v4l2", timeout_s=1, stop=threading.Event())


def test_the_driver_and_the_result_are_never_one_camera():
    for driving in ("/dev/video7", "camera:7", "camera:/dev/video7"):
        with pytest.raises(InputError, match="/dev/video7 is the driving source itself"):
            check_apart(driving, "/dev/video7", {})
    check_apart("camera:6", "/dev/video7", {"the portrait": "me.png"})


def test_who_looks_through_a_camera_sees_the_drivers_pace_and_a_file_does_not():
    assert is_shown("/dev/video12") and is_shown("window") and not is_shown("me.mp4") and not is_shown("-")
    assert not is_camera("/dev/video12.mp4") and set(SUFFIXES) == {".mp4", ".mov", ".mkv"}


def test_this_ffmpeg_can_write_to_such_devices(monkeypatch):
    """It asks the device for its format before anything else, which no plain device knows."""
    assert av.ContainerFormat("v4l2", "w").is_output
    monkeypatch.setattr(virtual_camera, "check_device", lambda path: None)
    for name, says in (("/dev/null", "Inappropriate ioctl for device"), ("/dev/video9999", "No such file")):
        with pytest.raises(OutputError, match=rf"{name} does not take the pictures \({says}"):
            VirtualCamera(Path(name)).open(shaped(64, 48))
