"""What a HEIF file says of its picture: tiles, turns, colour profile. Its boxes alone; decoding is `heic`'s.

A camera's HEIC is a grid of tiles, each an item of its own, and its turns are properties of the grid: FFmpeg gives the
tiles and PyAV says nothing of the grid.

Source: ISO/IEC 23008-12 (6.5 properties, 6.6.2 grids), ISO/IEC 14496-12 (8.11 the meta box).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from hp_trt.media.turn import CLOCKWISE, COUNTERCLOCKWISE, NONE, UPSIDE_DOWN, Turn

# irot counts quarters counterclockwise. imir's 0 exchanges top and bottom (second edition).
_ROTATIONS = (NONE, COUNTERCLOCKWISE, UPSIDE_DOWN, CLOCKWISE)
_MIRRORS = (Turn(flipped=True), Turn(mirrored=True))
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}  # Pillow reads them
_MOVING = {b"avis", b"msf1", b"hevc", b"hevx"}
_MOST_TILES = 65_536


class NoHeifError(ValueError):
    """The boxes are not those of a picture that is read here; the text says why."""


@dataclass
class Item:
    """One item of the file, as its boxes describe it."""

    kind: str = ""
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)  # in the order in which they apply
    tiles: list[int] = field(default_factory=list)  # of a grid: items, row by row
    construction: int = 0
    extents: list[tuple[int, int]] = field(default_factory=list)  # offset and length


@dataclass(frozen=True, kw_only=True)
class HeifPicture:
    """The primary picture: which tiles, and what is done to them."""

    width: int  # of all tiles together, before turns
    height: int
    columns: int
    tiles: tuple[int, ...]  # ids of coded items, row by row
    steps: tuple[Turn | tuple[int, int, int, int], ...]  # in their order: a turn, or a crop x, y, width, height
    profile: bytes | None  # ICC


def is_heif(head: bytes) -> bool:
    """Whether a file with these first bytes is a still picture, or several, that `picture_of` may read."""
    brands = _brands(head)
    return bool(brands & _HEIF) and not brands & _AVIF


def is_still(head: bytes) -> bool:
    """Whether it is a still picture, AVIF among them, and nothing that moves."""
    brands = _brands(head)
    return bool(brands & (_HEIF | _AVIF)) and not brands & _MOVING


def _brands(head: bytes) -> set[bytes]:
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4]), len(head))
    return {head[8:12], *(head[place : place + 4] for place in range(16, end - 3, 4))}


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each box in `data`."""
    place = 0
    while place + 8 <= len(data):
        size, kind, header = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8], 8
        if size == 1:
            size, header = int.from_bytes(data[place + 8 : place + 16]), 16
        size = size or len(data) - place
        if size < header or place + size > len(data):
            raise NoHeifError("a box is cut off")
        yield kind, data[place + header : place + size]
        place += size


def picture_of(data: bytes) -> HeifPicture:
    """The primary picture of a whole file. Raises NoHeifError."""
    meta = next((content for kind, content in _until_damage(data) if kind == b"meta"), None)
    if meta is None:
        raise NoHeifError("it has no list of pictures")
    inside = dict(boxes(meta[4:]))
    items = _items(inside)
    primary = items.get(_Reader(inside.get(b"pitm", b"")).primary())
    if primary is None:
        raise NoHeifError("it names no main picture")
    number = next(n for n, item in items.items() if item is primary)
    size = _size(primary)
    if primary.kind != "grid":
        return _made(primary, items, size=size, columns=1, tiles=(number,))
    grid = _Reader(_content(primary, inside.get(b"idat", b""), data))
    _, flags = grid.uint(1), grid.uint(1)
    rows, columns = grid.uint(1) + 1, grid.uint(1) + 1
    size = grid.uint(4 if flags & 1 else 2), grid.uint(4 if flags & 1 else 2)
    if len(primary.tiles) != rows * columns or not all(tile in items for tile in primary.tiles):
        raise NoHeifError(f"a grid of {columns} x {rows} has {len(primary.tiles)} tiles")
    return _made(primary, items, size=size, columns=columns, tiles=tuple(primary.tiles))


def _until_damage(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes up to where the file is cut off: the list of pictures stands before the pictures."""
    try:
        yield from boxes(data)
    except NoHeifError:
        return


def _made(
    primary: Item, items: dict[int, Item], *, size: tuple[int, int], columns: int, tiles: tuple[int, ...]
) -> HeifPicture:
    steps: list[Turn | tuple[int, int, int, int]] = []
    width, height = size
    for kind, content in primary.properties:
        if kind == b"irot":
            steps.append(_ROTATIONS[content[0] & 3])
        elif kind == b"imir":
            steps.append(_MIRRORS[content[0] & 1])
        elif kind == b"clap":
            steps.append(_crop(content, width, height))
        else:
            continue
        last = steps[-1]
        width, height = last.size(width, height) if isinstance(last, Turn) else last[2:]
    profile = next((p for item in (primary, items[tiles[0]]) for p in _profiles(item)), None)
    return HeifPicture(width=size[0], height=size[1], columns=columns, tiles=tiles, steps=tuple(steps), profile=profile)


def _profiles(item: Item) -> Iterator[bytes]:
    return (c[4:] for kind, c in item.properties if kind == b"colr" and c[:4] in (b"prof", b"rICC"))


def _size(item: Item) -> tuple[int, int]:
    ispe = next((content for kind, content in item.properties if kind == b"ispe"), None)
    if ispe is None:
        raise NoHeifError("its main picture has no size")
    reader = _Reader(ispe[4:])
    return reader.uint(4), reader.uint(4)


def _crop(clap: bytes, width: int, height: int) -> tuple[int, int, int, int]:
    """x, y, width, height of a clean aperture, inside the picture."""
    reader = _Reader(clap)
    wide, high, right, down = (_ratio(reader.signed(4), reader.uint(4)) for _ in range(4))
    w, h = round(wide), round(high)
    x, y = round(right + (width - wide) / 2), round(down + (height - high) / 2)
    if not (0 <= x < x + w <= width and 0 <= y < y + h <= height):
        raise NoHeifError(f"its crop of {w} x {h} pixels at {x}, {y} leaves the picture")
    return x, y, w, h


def _ratio(numerator: int, denominator: int) -> float:
    if not denominator:
        raise NoHeifError("its crop divides by zero")
    return numerator / denominator


class _Reader:
    """Numbers from the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self._stream = BytesIO(data)

    def uint(self, size: int) -> int:
        """Unsigned, big end first; 0 bytes are 0."""
        data = self._stream.read(size)
        if len(data) < size:
            raise NoHeifError("a box is cut off")
        return int.from_bytes(data)

    def signed(self, size: int) -> int:
        value = self.uint(size)
        return value - (1 << 8 * size) if value >> (8 * size - 1) else value

    def primary(self) -> int:
        version = self.uint(4) >> 24
        return self.uint(4 if version else 2)


def _items(inside: dict[bytes, bytes]) -> dict[int, Item]:
    items: dict[int, Item] = {}
    infos = inside.get(b"iinf", b"")
    skipped = 6 if infos[:1] == b"\0" else 8
    for kind, content in boxes(infos[skipped:]):
        if kind == b"infe" and content[:1] in (b"\2", b"\3"):
            reader = _Reader(content[4:])
            number = reader.uint(2 if content[0] == 2 else 4)
            reader.uint(2)
            items[number] = Item(kind=reader.uint(4).to_bytes(4).decode("latin-1"))
    _read_places(inside.get(b"iloc", b""), items)
    _read_tiles(inside.get(b"iref", b""), items)
    _read_properties(inside.get(b"iprp", b""), items)
    return items


def _read_places(iloc: bytes, items: dict[int, Item]) -> None:
    if not iloc:
        return
    reader = _Reader(iloc)
    version, sizes = reader.uint(4) >> 24, reader.uint(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 4 if version == 2 else 2
    for _ in range(reader.uint(wide)):
        item = items.get(reader.uint(wide), Item())
        item.construction = reader.uint(2) & 15 if version else 0
        reader.uint(2)
        base = reader.uint(base_size)
        for _ in range(reader.uint(2)):
            if version:
                reader.uint(index_size)
            offset = reader.uint(offset_size)
            item.extents.append((base + offset, reader.uint(length_size)))


def _read_tiles(iref: bytes, items: dict[int, Item]) -> None:
    wide = 4 if iref[:1] == b"\1" else 2
    for kind, content in boxes(iref[4:]):
        if kind == b"dimg":
            reader = _Reader(content)
            item = items.get(reader.uint(wide), Item())
            count = reader.uint(2)
            if count > _MOST_TILES:
                raise NoHeifError(f"it has {count} tiles")
            item.tiles = [reader.uint(wide) for _ in range(count)]


def _read_properties(iprp: bytes, items: dict[int, Item]) -> None:
    inside = list(boxes(iprp))
    properties = [p for kind, content in inside if kind == b"ipco" for p in boxes(content)]
    for kind, content in inside:
        if kind != b"ipma":
            continue
        reader = _Reader(content)
        head = reader.uint(4)
        for _ in range(reader.uint(4)):
            item = items.get(reader.uint(4 if head >> 24 else 2), Item())
            for _ in range(reader.uint(1)):
                index = reader.uint(2) & 0x7FFF if head & 1 else reader.uint(1) & 0x7F
                if 0 < index <= len(properties):
                    item.properties.append(properties[index - 1])


def _content(item: Item, idat: bytes, data: bytes) -> bytes:
    """The bytes of an item that is no picture: of a grid they are few."""
    place: Any = idat if item.construction == 1 else data
    return b"".join(place[offset : offset + length] for offset, length in item.extents[:4])[:64]
