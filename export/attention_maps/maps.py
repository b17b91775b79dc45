"""What a model's attention is told of as: maps of one level, on the picture that they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class LevelMap:
    """One quantity at one level of the UNet, place by place: a mean over heads, layers, frames and steps."""

    level: int  # 0 is the finest
    what: str  # a heading, the same at every level
    values: np.ndarray  # (h, w)
    even: float  # what every place would have, if attention made no difference
    on: str  # which picture it lies upon, by its name in `Looked.pictures`


@dataclass(frozen=True, kw_only=True)
class Looked:
    """All that was seen of one run."""

    pictures: dict[str, np.ndarray]  # (S, S, 3) uint8, by name
    maps: tuple[LevelMap, ...]

    @property
    def headings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(found.what for found in self.maps))

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(sorted({found.level for found in self.maps}))

    def at(self, level: int, what: str) -> LevelMap | None:
        return next((found for found in self.maps if (found.level, found.what) == (level, what)), None)


def lines(looked: Looked) -> list[str]:
    """The maps as words, a line a level and quantity."""
    found = []
    for one in looked.maps:
        height, width = one.values.shape
        row, column = (int(i) for i in np.unravel_index(int(one.values.argmax()), one.values.shape))
        found.append(
            f"level {one.level} ({width} x {height}), {one.what}: mean {one.values.mean():.3f}, even {one.even:.3f}, "
            f"most {one.values.max():.3f} at {(column + 0.5) / width:.0%} across, {(row + 0.5) / height:.0%} down"
        )
    return found
