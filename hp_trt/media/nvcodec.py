"""NVIDIA's hardware coders, NVDEC and NVENC, by PyNvVideoCodec: the one module that imports it.

Importing it without a driver raises, and making a decoder where CUDA refuses ends the process (2.2.4: exit code 1 and
"CUDA driver API error"). So version, GPU and the driver's two libraries are asked first, and each refusal says what was
found. It is given packets and pictures, never a file or an address: what a stranger sent is demuxed by
`hp_trt.media.opening` alone.

Source: the Python API of PyNvVideoCodec 2.2.4; `tests/hp_trt/media/nvcodec_names.json` is what this module uses of it.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from importlib import metadata
from typing import Any

import numpy as np

from engines.errors import InputError, OutputError, how_to_install
from engines.foreign import foreign, reason
from engines.gpu import Gpu, NoGpu, find_gpu

MODULE, VERSION = "PyNvVideoCodec", "2.2.4"
NVDEC, NVENC = "NVDEC", "NVENC"
OPTIONS = {NVDEC: "--decoder nvdec", NVENC: "--encoder nvenc"}
DECODED = {"h264": "H264", "hevc": "HEVC"}  # FFmpeg's name -> the library's, of what has been tried with the stand-in
_DRIVER = ("libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1")  # importing needs the last, whatever is asked
_CONTAINER = "in a container: start it with NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"


class Coders:
    """The library on GPU `index`, for what `wanted` names. Raises InputError: it is not here, or cannot run here."""

    def __init__(self, wanted: str, index: int) -> None:
        self.wanted, self.index = wanted, index
        self._instead = f"or leave {OPTIONS[wanted]} out"
        if importlib.util.find_spec(MODULE) is None:
            raise InputError(f"{wanted} needs {MODULE}, which is not installed; {self._install}")
        if (found := installed()) != VERSION:
            raise InputError(f"{wanted} needs {MODULE} {VERSION}, found {found or 'none'}; {self._install}")
        gpu = find_gpu(index)
        if isinstance(gpu, NoGpu):
            raise InputError(f"{wanted} needs an NVIDIA GPU, found: {gpu.found}; {gpu.fix}, {self._instead}")
        self.gpu: Gpu = gpu
        for name in _DRIVER:
            if why := unloadable(name):
                raise InputError(
                    f"{wanted} needs {name} of the NVIDIA driver, which does not load ({why}); install the whole "
                    f"driver ({_CONTAINER}), {self._instead}"
                )
        with foreign(f"{wanted}: {MODULE} {VERSION} does not load", f"update the NVIDIA driver, {self._instead}"):
            self.module: Any = importlib.import_module(MODULE)

    @property
    def _install(self) -> str:
        return f"{how_to_install('nvcodec')}, {self._instead}"

    def decoder_caps(self, codec: str) -> dict[str, int]:
        """What NVDEC takes of 8 bit 4:2:0 in `codec`, one of `DECODED`. Raises InputError where it cannot be asked."""
        nvc = self.module
        with foreign(f"{NVDEC} of {self.gpu.name} does not answer", f"see nvidia-smi, {self._instead}"):
            return dict(
                nvc.GetDecoderCaps(
                    gpuid=self.index,
                    codec=getattr(nvc.cudaVideoCodec, DECODED[codec]),
                    chromaformat=getattr(nvc.cudaVideoChromaFormat, "420"),
                    bitdepth=8,
                )
            )

    def encoder_caps(self) -> dict[str, int]:
        """What NVENC makes of H.264. Raises InputError for a GPU without it, such as an A100, H100 or H200."""
        with foreign(f"{self.gpu.name} has no {NVENC} that opens", f"take a GPU that has it, {self._instead}"):
            caps = dict(self.module.GetEncoderCaps(gpuid=self.index, codec="h264"))
        if not caps.get("num_encoder_engines", 1):
            raise InputError(f"{self.gpu.name} has no {NVENC} engine; take a GPU that has one, {self._instead}")
        return caps

    def check_decodes(self, codec: str, width: int, height: int, name: object) -> None:
        """Raises InputError for pictures of `name` that this GPU does not decode."""
        caps = self.decoder_caps(codec)
        if not caps.get("supported"):
            raise InputError(f"{name} is {codec}, which {NVDEC} of {self.gpu.name} does not decode; {self._leave}")
        self._check_size(caps, width, height, name)
        blocks = -(-width // 16) * -(-height // 16)
        if blocks > caps.get("mb_num_max", blocks):
            raise InputError(
                f"{name} has pictures of {blocks} blocks of 16 x 16, {NVDEC} of {self.gpu.name} takes "
                f"{caps['mb_num_max']}; {self._leave}"
            )

    def check_encodes(self, width: int, height: int, name: object) -> None:
        """Raises InputError for pictures that this GPU does not encode."""
        self._check_size(self.encoder_caps(), width, height, name)

    @property
    def _leave(self) -> str:
        return f"leave {OPTIONS[self.wanted]} out"

    def _check_size(self, caps: dict[str, int], width: int, height: int, name: object) -> None:
        most = caps.get("width_max", width), caps.get("height_max", height)
        least = caps.get("width_min", 1), caps.get("height_min", 1)
        if not (least[0] <= width <= most[0] and least[1] <= height <= most[1]):
            raise InputError(
                f"{name} has pictures of {width} x {height}, {self.wanted} of {self.gpu.name} takes from {least[0]} x "
                f"{least[1]} to {most[0]} x {most[1]}; {self._leave}"
            )


class Decoder:
    """A session of NVDEC, for one stream of 8 bit 4:2:0. For one thread; it ends with the object."""

    def __init__(self, coders: Coders, codec: str) -> None:
        self._nvc = coders.module
        with foreign(f"{NVDEC} of {coders.gpu.name} does not open", "see what else decodes there, or leave it out"):
            self._session: Any = self._nvc.CreateDecoder(
                gpuid=coders.index, codec=getattr(self._nvc.cudaVideoCodec, DECODED[codec]), usedevicememory=False
            )

    def decode(self, unit: bytes, number: int) -> list[tuple[int, np.ndarray]]:
        """What comes out when the coded picture `number` goes in, b"" at the stream's end: in the order of display.

        Each with the number of its coded picture, as NV12: (H * 3 / 2, W) uint8, the caller's. The library's own errors
        pass.
        """
        packet = self._nvc.PacketData()
        held = np.frombuffer(unit, np.uint8)
        packet.bsl, packet.pts = len(unit), number
        packet.bsl_data = held.ctypes.data if unit else 0
        return [(int(frame.timestamp), self._copied(frame)) for frame in self._session.Decode(packet)]

    def _copied(self, frame: Any) -> np.ndarray:
        """Its memory is the session's, which writes there again."""
        width, height, size = self._session.GetWidth(), self._session.GetHeight(), frame.framesize()
        if frame.format != self._nvc.Pixel_Format.NV12 or size != width * height * 3 // 2 or height % 2:
            raise InputError(
                f"{NVDEC} gave {size} bytes of {frame.format} for {width} x {height} pixels, needed is NV12; "
                f"leave {OPTIONS[NVDEC]} out"
            )
        memory = (ctypes.c_uint8 * size).from_address(frame.GetPtrToPlane(0))
        return np.ctypeslib.as_array(memory).reshape(height * 3 // 2, width).copy()


class Encoder:
    """A session of NVENC that makes H.264 of NV12, without pictures that need later ones. For one thread."""

    def __init__(self, coders: Coders, width: int, height: int, settings: dict[str, str]) -> None:
        self._what = f"{NVENC} of {coders.gpu.name}"
        with self._refusals("does not open"):
            self._session: Any = coders.module.CreateEncoder(
                width, height, "NV12", True, codec="h264", gpu_id=coders.index, **settings
            )

    def encode(self, picture: np.ndarray) -> list[bytes]:
        """Of (H * 3 / 2, W) uint8: the coded pictures that are ready, in their order. Raises OutputError."""
        with self._refusals("refused a picture"):
            return [bytes(made["data"]) for made in self._session.Encode(np.ascontiguousarray(picture))]

    def finish(self) -> list[bytes]:
        """Those that are left."""
        with self._refusals("did not finish"):
            return [bytes(made["data"]) for made in self._session.EndEncode()]

    def _refusals(self, what: str) -> Any:
        return foreign(f"{self._what} {what}", f"see what else encodes there, or leave {OPTIONS[NVENC]} out",
                       error=OutputError)  # fmt: skip


def installed() -> str | None:
    """The library's version; None where it is not installed."""
    try:
        return metadata.version(MODULE)
    except metadata.PackageNotFoundError:
        return None


def unloadable(name: str) -> str:
    """Why a library of the driver does not load; empty where it does."""
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return reason(error)
    return ""


def require(*, decoder: str, encoder: str, index: int) -> None:
    """Raises InputError where a coder that was asked for, "nvdec" or "nvenc", cannot be used on GPU `index`."""
    if decoder == "nvdec":
        coders = Coders(NVDEC, index)
        if not any(coders.decoder_caps(codec).get("supported") for codec in DECODED):
            raise InputError(f"{NVDEC} of {coders.gpu.name} decodes neither {' nor '.join(DECODED)}; leave it out")
    if encoder == "nvenc":
        Coders(NVENC, index).encoder_caps()
