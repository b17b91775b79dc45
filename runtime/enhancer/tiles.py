"""The upscaler over a picture of any size, tile by tile: what is in memory is one tile's.

A tile has 400 pixels a side of its own and 40 around, which are cut off again; at the picture's border there are none.
So the seams are the released program's. A network sees further than 40 pixels, and a seam may differ by a grey level.

Source: SPEC 9, upscaler, use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np

from engines.backend import Backend, Session
from engines.errors import NonFiniteError
from runtime.enhancer.presets import SCALE

TILE, AROUND = 400, 40  # pixels of the picture that goes in
_LEAST_SIDE = 16  # that the graph takes


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Along both axes: what the network sees, and which part of that is the tile's own."""

    rows: slice
    columns: slice
    own_rows: slice
    own_columns: slice


def tiles(height: int, width: int, *, tile: int = TILE, around: int = AROUND) -> Iterator[Tile]:
    """The tiles of a picture, row by row."""
    for top in range(0, height, tile):
        rows, own_rows = _side(top, height, tile, around)
        for left in range(0, width, tile):
            columns, own_columns = _side(left, width, tile, around)
            yield Tile(rows=rows, columns=columns, own_rows=own_rows, own_columns=own_columns)


def enlarge(
    backend: Backend,
    session: Session,
    picture: np.ndarray,
    *,
    tile: int = TILE,
    around: int = AROUND,
    working: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> np.ndarray:
    """(H, W, 3) uint8 to (2H, 2W, 3) uint8, in the same order of colours: one pass of the upscaler.

    `session` takes `picture` (1, 3, h, w) in [0, 1] and gives `enlarged` (1, 3, 2h, 2w). An odd side, or one below 16,
    is padded by reflection at the right or bottom, and cut again. The array is the caller's. `working`: around the work
    of each tile. Raises NonFiniteError, and what `working` raises.
    """
    height, width = picture.shape[:2]
    padded = _padded(picture)
    enlarged = np.empty((SCALE * padded.shape[0], SCALE * padded.shape[1], 3), np.uint8)
    kind = session.spec.input("picture").dtype
    for part in tiles(*padded.shape[:2], tile=tile, around=around):
        seen = padded[part.rows, part.columns].astype(np.float32) / np.float32(255)
        planes = np.ascontiguousarray(seen.transpose(2, 0, 1)[None], dtype=kind)
        with working():
            made = session.run({"picture": backend.upload(planes)})["enlarged"]
            pixels = to_uint8(backend.download(made)[0].transpose(1, 2, 0), "the upscaler")
        cut = pixels[_grown(part.own_rows), _grown(part.own_columns)]
        top, left = (SCALE * (s.start + own.start) for s, own in _places(part))
        enlarged[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return enlarged[: SCALE * height, : SCALE * width]


def to_uint8(values: np.ndarray, whose: str) -> np.ndarray:
    """Numbers of [0, 1] as pixels: clamped, times 255, rounded. Raises NonFiniteError."""
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise NonFiniteError(f"{whose} returned NaN or infinity; build the bundle with --precision fp32")
    return np.rint(np.clip(values, 0, 1) * np.float32(255)).astype(np.uint8)


def _side(start: int, length: int, tile: int, around: int) -> tuple[slice, slice]:
    end = min(start + tile, length)
    first, last = max(start - around, 0), min(end + around, length)
    return slice(first, last), slice(start - first, end - first)


def _places(part: Tile) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    return (part.rows, part.own_rows), (part.columns, part.own_columns)


def _grown(part: slice) -> slice:
    return slice(SCALE * part.start, SCALE * part.stop)


def padded_size(height: int, width: int) -> tuple[int, int]:
    """What a picture of that size is padded to before it is cut into tiles."""
    return max(height + height % 2, _LEAST_SIDE), max(width + width % 2, _LEAST_SIDE)


def _padded(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    missing = [after - before for after, before in zip(padded_size(height, width), (height, width), strict=True)]
    if not any(missing):
        return picture
    return np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="reflect")
