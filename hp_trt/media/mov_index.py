"""An mp4 or mov whose index promises more samples than its file has room for.

FFmpeg makes a table of all samples when it opens such a file, about 70 bytes for each, and one number in a file of a
kilobyte can promise 4 * 10^9 of them. So the numbers are looked at first: every sample takes at least a byte of the
file. The boxes that hold them (stsz, stz2, trun) are searched for wherever they stand, as FFmpeg also takes them from
odd places; coincidences are told apart by the box's own size.

Source: ISO/IEC 14496-12 (8.7.3, 8.8.8).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from engines.errors import InputError

_ADVICE = "convert it again, or use another"
_FIRST = (b"ftyp", b"moov", b"moof", b"styp", b"mdat", b"free", b"skip", b"wide", b"sidx", b"pnot")
_SKIPPED = (b"mdat", b"free", b"skip", b"wide")
_LARGEST_INDEX = 128_000_000  # bytes; three hours with sound have 10 MB
_FEW = 1_000_000  # samples, whose table hurts nobody
_SAMPLES_PER_BYTE = 4  # raw sound has one in two bytes, and a file that was cut off less of them than it says
_COUNT_AT = {b"stsz": 12, b"stz2": 12, b"trun": 8}  # where, from a box's name, its number of samples stands


def check_mov_index(file: BinaryIO, name: Path, size: int) -> None:
    """Raises InputError for an index that cannot be true. `file` of `size` bytes may be of any kind."""
    file.seek(4)
    if file.read(4) not in _FIRST:
        return
    promised, place = 0, 0
    while place + 8 <= size:
        file.seek(place)
        length, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if length == 1:
            length, header = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0], 16
        length = size - place if length == 0 else min(length, size - place)
        if length < header:
            return  # FFmpeg goes no further either
        if kind in (b"moov", b"moof") or (length <= _LARGEST_INDEX and kind not in _SKIPPED):
            if length > _LARGEST_INDEX:
                raise InputError(f"{name} is a damaged video: its index takes {length} bytes; {_ADVICE}")
            data = file.read(length - header)
            if b"cmvd" in data:
                raise InputError(f"{name} has a compressed index, as old QuickTime wrote it; convert it first")
            promised += _samples(data)
        if promised > max(_FEW, _SAMPLES_PER_BYTE * size):
            raise InputError(
                f"{name} is a damaged video: its index promises {promised} samples, its file has {size} bytes; "
                f"{_ADVICE}"
            )
        place += length


def _samples(data: bytes) -> int:
    """How many samples all boxes in `data` promise."""
    count = 0
    for kind, number_at in _COUNT_AT.items():
        place = data.find(kind)
        while place >= 0:
            number, length = data[place + number_at : place + number_at + 4], data[max(place - 4, 0) : place]
            if len(number) == len(length) == 4 and int.from_bytes(length) >= 16:
                count += int.from_bytes(number)
            place = data.find(kind, place + 4)
    return count
