"""A camera that other programs see: frames written to a device of Linux's v4l2loopback, by FFmpeg.

A device takes raw pictures of one size, without times and without sound: who looks through it sees each picture until
the next one comes. They leave as YUYV, the form that every program which reads a camera knows.

Source of the numbers: Linux's videodev2.h, for 64 bits.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import OutputError
from engines.foreign import reason
from hp_trt.media.seal import Seal, marked
from hp_trt.media.yuv_frames import YuvFrames
from hp_trt.streams.recording import closed_quietly
from hp_trt.streams.sink import Shape

_NAME = re.compile(r"/dev/video\d+")
_PIXELS = "yuyv422"
_YUYV = int.from_bytes(b"YUYV", "little")
_QUERYCAP, _CAPABILITY_BYTES = 0x8068_5600, 104  # _IOR('V', 0, struct v4l2_capability)
_G_FMT, _FORMAT_BYTES = 0xC0D0_5604, 208  # _IOWR('V', 4, struct v4l2_format)
_CAPTURE, _OUTPUT, _WRITES, _OF_THE_NODE = 0x1, 0x2, 0x0100_0000, 0x8000_0000  # V4L2_CAP_...
_OUTPUT_BUFFER = 2  # V4L2_BUF_TYPE_VIDEO_OUTPUT
_MAKE = "sudo modprobe v4l2loopback exclusive_caps=1 card_label=hp-trt (Debian: the package v4l2loopback-dkms)"
_LIST = "v4l2-ctl --list-devices says which device is what"


def is_camera(out: str) -> bool:
    """Whether `out` names a device that takes pictures, there or not: /dev/videoN, or any character device."""
    if _NAME.fullmatch(out):
        return True
    try:
        return stat.S_ISCHR(os.stat(out).st_mode)
    except (OSError, ValueError):
        return False


class VirtualCamera:
    """Raises OutputError when made where no pictures can be written."""

    hears = False

    def __init__(self, path: Path) -> None:
        if sys.platform != "linux":
            raise OutputError(
                f"{path}: a virtual camera is Linux's v4l2loopback, and this is {sys.platform}; show it with another "
                "program, such as OBS with its own virtual camera: --out udp://127.0.0.1:5000"
            )
        self.path, self.name = path, str(path)
        self.notes: list[str] = []
        self.seal: Seal | None = None
        self._container: Any = None
        self._stream: Any = None
        self._frames = YuvFrames(_PIXELS)
        check_device(path)

    def open(self, shape: Shape) -> None:
        with _refused(self.name):
            self._container = container = open_device(self.path)
            try:
                stream = container.add_stream("rawvideo", rate=shape.rate)
                stream.width, stream.height = (side + side % 2 for side in (shape.width, shape.height))
                stream.pix_fmt = _PIXELS
                container.start_encoding()  # which sets the device's format
                self._stream = stream
                check_format(self.path, stream.width, stream.height)
            except BaseException:
                self.close()
                raise

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        with _refused(self.name):
            self._container.mux(self._stream.encode(self._frames.frame(marked(image, self.seal))))

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            closed_quietly(container.close)


def open_device(path: Path) -> Any:
    """PyAV's container on the device."""
    import av

    return av.open(os.fspath(path), "w", format="v4l2")


def check_device(path: Path) -> None:
    """Raises OutputError unless `path` is a device that pictures can be written to, as far as it says so itself."""
    try:
        is_device = stat.S_ISCHR(os.stat(path).st_mode)
    except OSError as error:
        raise OutputError(f"{path} is not there ({reason(error)}); make a virtual camera: {_MAKE}; {_LIST}") from error
    if not is_device:
        raise OutputError(f"{path} is no device; remove what is there, then make a virtual camera: {_MAKE}")
    answer = _asked(path, _QUERYCAP, bytearray(_CAPABILITY_BYTES))
    # driver[16], card[32], bus_info[32], version, capabilities, device_caps
    card, everything, own = struct.unpack_from("=16x32s36xII", answer)
    able = own if everything & _OF_THE_NODE else everything
    called = card.split(b"\0")[0].decode(errors="replace")
    if not able & _OUTPUT:
        what = "a camera, which pictures come from" if able & _CAPTURE else "no device that takes pictures"
        raise OutputError(f"{path} ({called}) is {what}; make a virtual camera: {_MAKE}; {_LIST}")
    if not able & _WRITES:
        raise OutputError(
            f"{path} ({called}) takes pictures by mapped memory alone, and is written to here; take one of "
            f"v4l2loopback: {_MAKE}"
        )


def check_format(path: Path, width: int, height: int) -> None:
    """Raises OutputError unless the device has taken the size and the form that it was given: FFmpeg does not look."""
    asked = bytearray(_FORMAT_BYTES)
    struct.pack_into("=I", asked, 0, _OUTPUT_BUFFER)
    found = struct.unpack_from("=8xIII", _asked(path, _G_FMT, asked))  # a union with pointers in it begins at 8
    if found != (width, height, _YUYV):
        form = found[2].to_bytes(4, "little").decode("ascii", "replace")
        raise OutputError(
            f"{path} keeps pictures of {found[0]} x {found[1]} as {form}, and gets {width} x {height} as YUYV; close "
            "the programs that use it, and see that v4l2loopback's keep_format is 0"
        )


def _asked(path: Path, request: int, about: bytearray) -> bytearray:
    """What the device answers. Raises OutputError where it does not."""
    import fcntl

    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(handle, request, about)
        finally:
            os.close(handle)
    except PermissionError as error:
        raise OutputError(
            f"{path} is not yours to write (permission denied); sudo usermod -a -G video $USER, then log in again"
        ) from error
    except OSError as error:
        raise OutputError(
            f"{path} is no video device, or it is taken ({reason(error)}); close what writes to it, or name another: "
            f"{_LIST}"
        ) from error
    return about


@contextmanager
def _refused(name: str) -> Iterator[None]:
    import av

    try:
        yield
    except (OSError, av.FFmpegError, ValueError) as error:
        raise OutputError(
            f"{name} does not take the pictures ({reason(error)}); close what else writes to it, or make another "
            f"virtual camera: {_MAKE}"
        ) from error
