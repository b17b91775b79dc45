from __future__ import annotations

import io
import struct
import subprocess
import sys
from fractions import Fraction

import av
import pytest
from PIL import Image

from engines.errors import InputError
from hp_trt.media import pixel_limit
from hp_trt.media.pixel_limit import PICTURE_BYTES, VIDEO_BYTES, check_pixels, most_pixels
from tests.hp_trt.awkward_clips import MODES


def jpeg(width: int, height: int, *, claims: int | None = None) -> bytes:
    """A small JPEG; `claims`: the sides that its header has instead, for nearly no bytes more."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 60, 60)).save(file, "JPEG")
    data = bytearray(file.getvalue())
    if claims:
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, claims, claims)
    return bytes(data)


def mjpeg(path, pictures: list[bytes], size: tuple[int, int]):
    with av.open(str(path), "w") as output:
        track = output.add_stream("mjpeg", rate=25)
        track.width, track.height, track.pix_fmt = *size, "yuvj420p"
        for number, data in enumerate(pictures):
            packet = av.Packet(data)
            packet.stream, packet.time_base = track, Fraction(1, 25)
            packet.pts = packet.dts = number
            output.mux(packet)
    return path


def test_a_picture_of_64_megapixels_and_a_video_of_8k_fit_and_more_does_not():
    check_pixels("x", 8000, 8000, PICTURE_BYTES)
    check_pixels("x", 8192, 4320, VIDEO_BYTES)
    for sides, size in (((8001, 8000), PICTURE_BYTES), ((8000, 8000), VIDEO_BYTES)):
        with pytest.raises(InputError, match=f"x has {sides[0]} x 8000 pixels; at most .* megapixels are decoded"):
            check_pixels("x", *sides, size)
    assert most_pixels(PICTURE_BYTES) == 64_000_000


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.mov"])
def test_a_video_of_huge_pictures_is_refused(tmp_path, read, name):
    path = mjpeg(tmp_path / name, [jpeg(64, 48, claims=16_000)] * 3, (16_000, 16_000))
    with pytest.raises(InputError, match=r"megapixels"):
        read(path)


@pytest.mark.parametrize("read", MODES)
def test_pictures_that_become_huge_on_the_way_are_left_out(tmp_path, read):
    pictures = [jpeg(64, 48)] * 3 + [jpeg(64, 48, claims=16_000)] * 2 + [jpeg(64, 48)] * 3
    images, notes = read(mjpeg(tmp_path / "a.avi", pictures, (64, 48)))
    assert [image.shape for image in images] == [(48, 64, 3)] * 6
    assert notes == [f"{tmp_path / 'a.avi'} is damaged or cut off: the 6 of 8 frames that can be decoded are used"]


def test_huge_pictures_take_no_memory_before_they_are_refused(tmp_path):
    mjpeg(tmp_path / "a.avi", [jpeg(64, 48)] + [jpeg(64, 48, claims=16_000)] * 3, (64, 48))
    mjpeg(tmp_path / "b.avi", [jpeg(64, 48, claims=16_000)] * 3, (16_000, 16_000))
    code = f"""
from pathlib import Path
from engines.errors import InputError
from hp_trt.media.video import VideoReader
for name in ("a", "b"):
    try:
        print(len(list(VideoReader({str(tmp_path)!r} + "/" + name + ".avi"))))
    except InputError:
        print("refused")
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    one, two, kilobytes = done.stdout.split()
    assert (one, two) == ("1", "refused") and int(kilobytes) < 400_000


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize(("pixels", "fits"), [("yuv420p", True), ("bgr0", True), ("gbrap16le", False)])
def test_pixels_of_many_bytes_count_more(tmp_path, monkeypatch, read, pixels, fits):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        video = output.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, pixels
        output.mux(video.encode(av.VideoFrame(64, 48, pixels)))
        output.mux(video.encode(None))
    monkeypatch.setattr(pixel_limit, "MAX_BYTES", 64 * 48 * 10)  # 16 bits a colour and alpha, twice, are 16
    if fits:
        assert len(read(path)[0]) == 1
    else:
        with pytest.raises(InputError, match="64 x 48 pixels; at most"):
            read(path)
