"""A stand-in for PyNvVideoCodec: its names, as `hp_trt.media.nvcodec` uses them, with FFmpeg's coders on the CPU.

`test_nvcodec_names.py` holds its names and arguments to those of the real package. What it cannot show: what the
hardware does with damage, how it encodes, how fast it is.
"""

from __future__ import annotations

import ctypes
import enum
import sys
from fractions import Fraction
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest

from engines.gpu import Gpu
from hp_trt.media import nvcodec

GPU = Gpu(index=0, name="NVIDIA L4", capability="8.9", total_bytes=24 << 30, driver_cuda=(13, 0))
DECODER_CAPS = {
    "supported": 1, "width_min": 48, "height_min": 16, "width_max": 4096, "height_max": 4096, "mb_num_max": 65536,
}  # fmt: skip
ENCODER_CAPS = {"num_encoder_engines": 1, "width_min": 32, "height_min": 32, "width_max": 4096, "height_max": 4096}
cudaVideoCodec = enum.Enum("cudaVideoCodec", ["H264", "HEVC", "VP9", "AV1", "MPEG4"])  # noqa: N816 - the library's
cudaVideoChromaFormat = enum.Enum("cudaVideoChromaFormat", {"420": 1, "422": 2, "444": 3})  # noqa: N816
Pixel_Format = enum.Enum("Pixel_Format", ["NV12", "P016", "YUV444"])


class PyNvVCException(Exception):
    pass


class PacketData:
    def __init__(self) -> None:
        self.bsl = self.bsl_data = self.pts = 0


class DecodedFrame:
    def __init__(self, memory: np.ndarray, timestamp: int) -> None:
        self._memory, self.timestamp, self.format = memory, timestamp, Pixel_Format.NV12

    def framesize(self) -> int:
        return self._memory.size

    def GetPtrToPlane(self, arg0: int) -> int:  # noqa: N802
        assert arg0 == 0
        return self._memory.ctypes.data


class PyNvDecoder:
    """Pictures lie in memory that the next call writes over, as in the library."""

    def __init__(self, codec: str) -> None:
        self._coder: Any = av.CodecContext.create(codec, "r")
        self._memory: list[np.ndarray] = []
        self._size = 0, 0

    def Decode(self, arg0: PacketData) -> list[DecodedFrame]:  # noqa: N802
        for memory in self._memory:
            memory[:] = 0
        if arg0.bsl:
            packet = av.Packet(ctypes.string_at(arg0.bsl_data, arg0.bsl))
            packet.pts, packet.time_base = arg0.pts, Fraction(1, 1000)
            try:
                frames = self._coder.decode(packet)
            except av.FFmpegError as error:
                raise PyNvVCException(f"Decode : \nError code : {error.errno}") from error
        else:
            frames = self._coder.decode(None)
        arrays = [frame.reformat(format="nv12").to_ndarray() for frame in frames]
        if frames:
            self._size = frames[-1].width, frames[-1].height
        self._memory = [np.ascontiguousarray(array) for array in arrays]
        return [DecodedFrame(m, frame.pts) for m, frame in zip(self._memory, frames, strict=True)]

    def GetWidth(self) -> int:  # noqa: N802
        return self._size[0]

    def GetHeight(self) -> int:  # noqa: N802
        return self._size[1]


class PyNvEncoder:
    """x264 without B-frames; headers before the first picture, as the library writes them. `held`: pictures that it
    keeps inside, as hardware does."""

    held = 2

    def __init__(self, width: int, height: int, quality: str, key_every: int) -> None:
        coder: Any = av.CodecContext.create("libx264", "w")
        coder.width, coder.height, coder.pix_fmt = width, height, "yuv420p"
        coder.time_base, coder.gop_size = Fraction(1, 25), key_every
        coder.options = {"bf": "0", "qp": quality, "preset": "ultrafast", "tune": "zerolatency"}
        self._coder, self._count = coder, 0
        self._inside: list[Any] = []

    def Encode(self, arg0: np.ndarray) -> list[dict[str, Any]]:  # noqa: N802
        frame = av.VideoFrame.from_ndarray(arg0, format="nv12").reformat(format="yuv420p")
        frame.pts, frame.time_base = self._count, Fraction(1, 25)
        self._count += 1
        self._inside += self._coder.encode(frame)
        ready = [self._inside.pop(0) for _ in range(len(self._inside) - self.held)]
        return [self._told(packet) for packet in ready]

    def EndEncode(self) -> list[dict[str, Any]]:  # noqa: N802
        left, self._inside = self._inside + self._coder.encode(None), []
        return [self._told(packet) for packet in left]

    def _told(self, packet: Any) -> dict[str, Any]:
        return {"data": bytes(packet), "timestamp": packet.pts, "picture_type": 3 if packet.is_keyframe else 0}


class StandIn(ModuleType):
    """The module. `made`: the arguments of every coder that was made."""

    def __init__(self) -> None:
        super().__init__(nvcodec.MODULE)
        self.__spec__ = ModuleSpec(nvcodec.MODULE, None)
        self.decoder_caps, self.encoder_caps = dict(DECODER_CAPS), dict(ENCODER_CAPS)
        self.no_encoder = ""  # the library's words on a GPU without NVENC
        self.made: list[dict[str, Any]] = []
        for one in (cudaVideoCodec, cudaVideoChromaFormat, Pixel_Format, PacketData, DecodedFrame, PyNvDecoder,
                    PyNvEncoder, PyNvVCException):  # fmt: skip
            setattr(self, one.__name__, one)

    def CreateDecoder(  # noqa: N802
        self, gpuid: int = 0, codec: Any = cudaVideoCodec.H264, usedevicememory: bool = False
    ) -> PyNvDecoder:
        assert not usedevicememory, "there is no device"
        self.made.append({"gpuid": gpuid, "codec": codec})
        return PyNvDecoder(codec.name.lower())

    def GetDecoderCaps(  # noqa: N802
        self,
        gpuid: int = 0,
        codec: Any = cudaVideoCodec.H264,
        chromaformat: Any = cudaVideoChromaFormat["420"],
        bitdepth: int = 8,
    ) -> dict[str, int]:
        return dict(self.decoder_caps)

    def GetEncoderCaps(self, gpuid: int = 0, codec: str = "h264") -> dict[str, int]:  # noqa: N802
        if self.no_encoder:
            raise PyNvVCException(self.no_encoder)
        return dict(self.encoder_caps)

    def CreateEncoder(  # noqa: N802
        self, width: int, height: int, fmt: str, usecpuinputbuffer: bool, **kwargs: Any
    ) -> PyNvEncoder:
        assert (fmt, usecpuinputbuffer, kwargs["codec"], kwargs["bf"]) == ("NV12", True, "h264", "0")
        self.made.append({"width": width, "height": height, **kwargs})
        return PyNvEncoder(width, height, kwargs["constqp"].split(",")[0], int(kwargs["gop"]))


def stand_in(patch: pytest.MonkeyPatch, gpu: Any = GPU, version: str | None = nvcodec.VERSION) -> StandIn:
    """A machine with it, with that GPU."""
    made = StandIn()
    patch.setitem(sys.modules, nvcodec.MODULE, made)
    patch.setattr(nvcodec, "installed", lambda: version)
    patch.setattr(nvcodec, "unloadable", lambda name: "")
    patch.setattr(nvcodec, "find_gpu", lambda index=0: gpu)
    return made
