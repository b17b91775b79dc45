"""Pictures of a file, decoded by NVDEC, as `hp_trt.media.decoding.decoded` gives them.

Bytes become RGB just as on the CPU: the file is opened and demuxed by `open_file`, NVDEC gets coded pictures alone, and
what it gives is converted, turned and timed by what converts, turns and times FFmpeg's frames. H.264 and HEVC say to
the bit what a decoder gives, so the frames are the same. A first picture is decoded on the CPU: turns and colours stand
there, and NVDEC's is held against it (the library, for one, does not know pictures that are cropped at their left or
top). What would be shown otherwise than on the CPU is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from engines.foreign import reason
from hp_trt.media.annexb import sequence_headers
from hp_trt.media.decoding import decoded, packets_of
from hp_trt.media.display import Display
from hp_trt.media.nvcodec import DECODED, NVDEC, OPTIONS, Coders, Decoder
from hp_trt.media.opening import open_file, video_stream
from hp_trt.media.promise import Delivery

_PIXELS = ("yuv420p", "yuvj420p")  # 8 bit 4:2:0, as television has it and with all levels
_LEAVE = f"leave {OPTIONS[NVDEC]} out"


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """An open file: its container, how its frames are shown, and the frames, once."""

    container: Any
    display: Display
    frames: Iterator[Any]


@contextmanager
def nvdec_pictures(path: Path, index: int, delivery: Delivery) -> Iterator[Pictures]:
    """The pictures of `path`, decoded by GPU `index`. Raises InputError for what is not decoded as on the CPU."""
    coders = Coders(NVDEC, index)
    with open_file(path) as looked_at, open_file(path) as container:
        shown = video_stream(looked_at, path, frame_threads=False)
        first = next(decoded(looked_at, shown, Delivery()), None)
        if first is None:
            raise InputError(f"{path} has not one picture that can be decoded; give another video")
        stream = video_stream(container, path, frame_threads=False)
        codec = _checked(container, stream, first, path)
        coders.check_decodes(codec, first.width, first.height, path)
        walk = _Walk(path, coders, codec, stream, first, delivery)
        display = Display(shown, path, like=first)
        yield Pictures(container=container, display=display, frames=walk.frames(container))


def _checked(container: Any, stream: Any, first: Any, path: Path) -> str:
    """The codec. Raises InputError for what is not decoded as on the CPU."""
    codec = str(stream.codec_context.codec.canonical_name)
    if codec not in DECODED:
        raise InputError(f"{path} is {codec}, {NVDEC} is given {' and '.join(DECODED)}; {_LEAVE}, or convert the video")
    if first.format.name not in _PIXELS:
        raise InputError(f"{path} has pixels of {first.format.name}, {NVDEC} is given 8 bit 4:2:0; {_LEAVE}")
    if first.interlaced_frame:
        raise InputError(f"{path} is interlaced, which {NVDEC} shows otherwise than the CPU; {_LEAVE}")
    if container.format.name == "avi":
        raise InputError(f"{path} is an AVI, which has no times for {NVDEC} to keep; {_LEAVE}, or put it into an mp4")
    return codec


class _Walk:
    """One walk through the pictures of `stream`."""

    def __init__(self, path: Path, coders: Coders, codec: str, stream: Any, first: Any, delivery: Delivery) -> None:
        self._path, self._coders, self._codec, self._stream = path, coders, codec, stream
        self._first, self._delivery = first, delivery
        self._headers: set[bytes] = set()
        self._inside: dict[int, tuple[int | None, bool]] = {}  # number -> its time in ticks, and whether it is hidden
        self._shown = 0

    def frames(self, container: Any) -> Iterator[Any]:
        decoder = Decoder(self._coders, self._codec)
        for number, part in enumerate(self._coded(container), 1):
            self._check_header(part, number)
            self._inside[number] = part.pts, bool(part.is_discard)
            yield from self._made(decoder, bytes(part), number)
        yield from self._made(decoder, b"", 0)
        if not self._shown:
            raise InputError(f"{NVDEC} gave not one picture of {self._path}; {_LEAVE}")
        self._delivery.damaged = max(self._delivery.damaged, self._delivery.packets - self._shown)

    def _coded(self, container: Any) -> Iterator[Any]:
        """The packets with units behind start codes, and headers before each key picture."""
        from av.bitstream import BitStreamFilterContext

        rewrite = BitStreamFilterContext(f"{self._codec}_mp4toannexb", self._stream)
        for packet in packets_of(container, self._stream, self._delivery):
            if not packet.size:
                continue
            try:
                parts = rewrite.filter(packet)
            except Exception:  # as the decoder's
                self._delivery.damaged += 1
                continue
            yield from parts

    def _check_header(self, part: Any, number: int) -> None:
        """Size, colours and shape are those of the first picture, or it is refused."""
        if not part.is_keyframe:
            return
        found = sequence_headers(bytes(part), self._codec)
        if self._headers and not found <= self._headers:
            raise InputError(
                f"{self._path} changes at its packet {number} how it is coded (size, colours or their shape), {NVDEC} "
                f"keeps to the first; {_LEAVE}"
            )
        self._headers = self._headers or found

    def _made(self, decoder: Decoder, unit: bytes, number: int) -> Iterator[Any]:
        try:
            pictures = decoder.decode(unit, number)
        except InputError:
            raise
        except Exception as error:  # the library's own
            if not self._shown:
                raise InputError(f"{NVDEC} cannot decode {self._path} ({reason(error)}); {_LEAVE}") from error
            self._delivery.damaged += 1
            return
        for whose, picture in pictures:
            if whose not in self._inside:
                raise InputError(f"{NVDEC} gave a picture of {self._path} that no packet was for ({whose}); {_LEAVE}")
            ticks, hidden = self._inside.pop(whose)
            if not hidden:
                self._shown += 1
                yield self._frame(picture, ticks)

    def _frame(self, picture: np.ndarray, ticks: int | None) -> Any:
        """PyAV's frame, as FFmpeg's decoder would have made it."""
        import av

        first, (rows, width) = self._first, picture.shape
        height = rows * 2 // 3
        if (width, height) != (first.width, first.height):
            raise InputError(
                f"{NVDEC} gave {width} x {height} of {self._path}, which has {first.width} x {first.height}; {_LEAVE}"
            )
        planes = planar(picture)
        if self._shown == 1 and (wrong := int((planes != first.to_ndarray()).sum())):
            raise InputError(
                f"the first picture of {self._path} by {NVDEC} differs from the CPU's in {wrong} of {planes.size} "
                f"samples, where the standard says all of them; {_LEAVE}"
            )
        frame = av.VideoFrame.from_ndarray(planes, format=first.format.name)
        frame.pts, frame.time_base = ticks, Fraction(self._stream.time_base)
        frame.colorspace, frame.color_range = first.colorspace, first.color_range
        return frame


def planar(picture: np.ndarray) -> np.ndarray:
    """NV12, (H * 3 / 2, W) uint8, as yuv420p of that shape: what the CPU decodes to, and swscale converts alike."""
    rows, width = picture.shape
    height = rows * 2 // 3
    chroma = picture[height:].reshape(-1, 2)
    made = np.empty_like(picture)
    made[:height] = picture[:height]
    made[height:] = np.concatenate([chroma[:, 0], chroma[:, 1]]).reshape(height // 2, width)
    return made
