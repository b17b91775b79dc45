"""HEIC, as telephones write it: a still picture in HEVC, whole or in tiles, decoded by PyAV's FFmpeg.

Turns, mirrors and crops of the picture are applied once, from its boxes (`heif_boxes`). Alpha and depth, which are
pictures of their own, are left aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from engines.foreign import foreign
from hp_trt.media.heif_boxes import HeifPicture, picture_of
from hp_trt.media.opening import open_file
from hp_trt.media.pixel_limit import MAX_BYTES, PICTURE_BYTES, check_pixels, most_pixels
from hp_trt.media.turn import Turn

_ADVICE = "save it as JPEG or PNG, or use another picture"


@dataclass(frozen=True)
class HeicPicture:
    """What was decoded."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB in the colours of `profile`, contiguous, turned as it is shown
    profile: bytes | None  # ICC


def read(path: Path) -> HeicPicture:
    """The main picture of `path`. Raises InputError."""
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} has more than {MAX_BYTES // 10**6} MB; {_ADVICE}")
    with foreign(f"{path} is a HEIC picture that cannot be read", _ADVICE):
        picture = picture_of(path.read_bytes())
    check_pixels(path, picture.width, picture.height, PICTURE_BYTES)
    with open_file(path, still=True) as container, foreign(f"{path} is a damaged HEIC picture", _ADVICE):
        pixels = _put_together(container, picture, path)
        for step in picture.steps:
            if isinstance(step, Turn):
                pixels = step.apply(pixels)
            else:
                x, y, width, height = step
                pixels = pixels[y : y + height, x : x + width]
    return HeicPicture(np.ascontiguousarray(pixels), picture.profile)


def _put_together(container: Any, picture: HeifPicture, path: Path) -> np.ndarray:
    """All tiles in their places: (height, width, 3) uint8 RGB."""
    streams = {stream.id: stream for stream in container.streams.video if stream.id in picture.tiles}
    missing = [tile for tile in picture.tiles if tile not in streams]
    if missing:
        raise InputError(f"{path} has {len(missing)} tiles that FFmpeg cannot decode; {_ADVICE}")
    whole = np.zeros((picture.height, picture.width, 3), np.uint8)
    places = {tile: divmod(place, picture.columns) for place, tile in enumerate(picture.tiles)}
    for stream in streams.values():
        stream.codec_context.options = {"max_pixels": str(most_pixels(PICTURE_BYTES))}
        stream.thread_type = "SLICE"
    done = set()
    for packet in container.demux(list(streams.values())):
        for frame in packet.decode():
            tile = frame.to_ndarray(format="rgb24")
            row, column = places[packet.stream.id]
            y, x = row * tile.shape[0], column * tile.shape[1]
            part = whole[y : y + tile.shape[0], x : x + tile.shape[1]]
            part[:] = tile[: part.shape[0], : part.shape[1]]
            done.add(packet.stream.id)
    if len(done) < len(streams):
        raise InputError(f"{path} is a damaged HEIC picture ({len(streams) - len(done)} tiles missing); {_ADVICE}")
    return whole
