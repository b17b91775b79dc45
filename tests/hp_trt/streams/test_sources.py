from __future__ import annotations

import threading
from fractions import Fraction

import cv2
import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.streams import sources
from hp_trt.streams.sources import Camera, Picture, SoundPacket, open_source, without_password
from tests.hp_trt.clips import contents, make_clip, make_sound, picture


def opened(what, **options):
    return open_source(str(what), **({"sound": True, "timeout_s": 1.0, "stop": threading.Event()} | options))


def pictures(source):
    return [item for item in source.read() if isinstance(item, Picture)]


def test_a_file_gives_its_pictures_and_its_sound(tmp_path):
    path = make_clip(tmp_path / "a.mp4", 12, audio="aac")
    source = opened(path)
    items = list(source.read())
    source.close()
    assert [i.time_s for i in items if isinstance(i, Picture)] == contents(path).times_s
    assert len([i for i in items if isinstance(i, SoundPacket)]) == len(contents(path).sound)
    assert source.rate == 25 and source.recorded and source.notes == []


def test_sound_that_nobody_hears_is_not_read(tmp_path):
    source = opened(make_clip(tmp_path / "a.mp4", 5, audio="aac"), sound=False)
    assert source.sound is None and len(list(source.read())) == 5
    source.close()


def test_pictures_come_as_they_are_shown(tmp_path):
    source = opened(make_clip(tmp_path / "a.mp4", 3, rotation=90))
    (first, *_) = pictures(source)
    source.close()
    assert first.image.shape == (64, 48, 3) and first.image.dtype == np.uint8
    # The ramp goes from left to right; turned counterclockwise it goes upwards. H.264 is off by a few levels.
    expected = np.rot90(picture(0), 1)
    assert np.abs(first.image.astype(int) - expected).max() < 8


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.mkdir(), "is not a file"),
        (lambda p: p.write_text("hello " * 50), "is no video"),
        (make_sound, "has only audio"),
    ],
    ids=["none", "folder", "text", "sound"],
)
def test_what_is_no_video_is_told(tmp_path, make, says):
    make(tmp_path / "a.mp4")
    with pytest.raises(InputError, match=says):
        opened(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1 cannot be opened as a video (Connection refused); see"),
        ("nosuch://me:secret@host", "nosuch://host: this FFmpeg does not know that kind of address"),
        ("udp://127.0.0.1:19", "udp://127.0.0.1:19 did not answer within 0.3 s"),
    ],
)
def test_an_address_that_gives_nothing_is_told(url, says):
    with pytest.raises(InputError) as error:
        opened(url, timeout_s=0.3)
    assert says in str(error.value) and "secret" not in str(error.value)


def test_a_password_is_not_shown():
    assert without_password("rtsp://me:secret@host/x?y") == "rtsp://host/x?y"
    assert without_password("http://host/a@b") == "http://host/a@b"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("camera:77", "the camera /dev/video77 is not there; cameras: "),
        ("/dev/video77", "the camera /dev/video77 is not there"),
        ("camera:/dev/null", "the camera /dev/null is no camera"),
    ],
)
def test_a_camera_that_does_not_exist_is_told(name, says):
    with pytest.raises(InputError) as error:
        opened(name)
    assert says in str(error.value)


class FakeCapture:
    """A camera that gives three frames in OpenCV's order of colours, and is then unplugged."""

    opens = True

    def __init__(self, index, backend):
        assert (index, backend) == (0, cv2.CAP_V4L2)
        self.left = 3
        self.released = False

    def isOpened(self):  # noqa: N802  # OpenCV's own
        return self.opens

    def get(self, what):
        return 30.0

    def read(self):
        self.left -= 1
        return self.left >= 0, np.full((4, 6, 3), (1, 2, 3), np.uint8)

    def release(self):
        self.released = True


@pytest.fixture
def camera(monkeypatch, tmp_path):
    link = tmp_path / "by-name"
    link.write_text("")
    monkeypatch.setattr(sources.os.path, "realpath", lambda path: "/dev/video0")
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    return f"camera:{link}"


def test_a_camera_gives_pictures_in_the_order_of_its_clock_until_it_is_unplugged(camera):
    source = opened(camera)
    assert isinstance(source, Camera) and source.rate == Fraction(30) and not source.recorded and source.sound is None
    got = []
    with pytest.raises(InputError, match="stopped sending pictures; see that it is still plugged in"):
        got.extend(iter_into(got, source))
    source.close()
    assert len(got) == 3 and got[0].image[0, 0].tolist() == [3, 2, 1]
    assert got[0].time_s < got[1].time_s < got[2].time_s


def iter_into(got, source):
    for item in source.read():
        got.append(item)
    return []


def test_a_camera_that_something_else_uses_is_told(camera, monkeypatch):
    monkeypatch.setattr(FakeCapture, "opens", False)
    with pytest.raises(InputError, match="gives no pictures; close what else uses it"):
        opened(camera)


def test_a_clock_is_not_taken_for_a_rate(tmp_path):
    source = opened(make_clip(tmp_path / "a.mkv", 20, rate=1000, ticks=[0, *range(33, 33 + 19)]))
    source.close()
    assert source.rate == 30
