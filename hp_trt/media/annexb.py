"""H.264 and HEVC as a row of units behind start codes, which is how NVIDIA's coders take and give them.

Source: ITU-T H.264 and H.265, annex B; their tables of unit types.
"""

from __future__ import annotations

import re

_START = re.compile(rb"\x00\x00\x01")
_CODE = b"\x00\x00\x00\x01"
_H264_HEADERS = {7, 8}  # sequence and picture parameter sets
_H264_KEY = 5  # a slice of a picture that needs no other


def units(stream: bytes) -> list[bytes]:
    """The units of `stream`, without start codes; none where there is no start code."""
    begins = [found.end() for found in _START.finditer(stream)]
    ends = [begin - 3 for begin in begins] + [len(stream)]
    cut = [stream[begin:end].rstrip(b"\x00") for begin, end in zip(begins, ends[1:], strict=True)]
    return [unit for unit in cut if unit]


def joined(parts: list[bytes]) -> bytes:
    """The stream of these units."""
    return b"".join(_CODE + part for part in parts)


def sequence_headers(stream: bytes, codec: str) -> set[bytes]:
    """The sequence parameter sets of "h264" or "hevc" in `stream`: size, bit depth and colours stand in them."""
    if codec == "hevc":
        return {unit for unit in units(stream) if unit[0] >> 1 & 63 == 33}
    return {unit for unit in units(stream) if unit[0] & 31 == 7}


def h264_headers(stream: bytes) -> list[bytes]:
    """The units of H.264 that a container keeps apart from its pictures."""
    return [unit for unit in units(stream) if unit[0] & 31 in _H264_HEADERS]


def h264_picture(stream: bytes) -> tuple[bytes, bool]:
    """The rest, and whether it is a picture that needs no other."""
    kept = [unit for unit in units(stream) if unit[0] & 31 not in _H264_HEADERS]
    return joined(kept), any(unit[0] & 31 == _H264_KEY for unit in kept)
