"""What a model's attention is told of as: maps, bars and tables of one level, and the pictures that maps lie upon.

All are means over heads, layers, frames and steps. *Even* is what attention that makes no difference would have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST_GROUPS = 8  # of tokens that follow each other by number, so many colours


@dataclass(frozen=True, kw_only=True)
class LevelMap:
    """One quantity at one level of the UNet, place by place."""

    level: int  # 0 is the finest
    what: str  # a heading, the same at every level
    values: np.ndarray  # (h, w)
    even: float  # what every place would have, if attention made no difference
    on: str  # which picture it lies upon, by its name in `Looked.pictures`

    def line(self) -> str:
        """The map in words."""
        height, width = self.values.shape
        row, column = (int(i) for i in np.unravel_index(int(self.values.argmax()), self.values.shape))
        return (
            f"level {self.level} ({width} x {height}), {self.what}: mean {self.values.mean():.3f}, "
            f"even {self.even:.3f}, most {self.values.max():.3f} at {(column + 0.5) / width:.0%} across, "
            f"{(row + 0.5) / height:.0%} down"
        )


@dataclass(frozen=True, kw_only=True)
class LevelTokens:
    """How much every place reads from each token: of a place 1 in all."""

    level: int
    what: str
    values: np.ndarray  # (h, w, tokens)
    on: str

    @property
    def each(self) -> np.ndarray:
        """(tokens,): how much of each token is read, 1 in all."""
        shares: np.ndarray = self.values.mean(axis=(0, 1))
        return shares

    @property
    def even(self) -> float:
        """What of each token would be read, if attention made no difference."""
        return 1 / self.values.shape[-1]

    @property
    def groups(self) -> tuple[range, ...]:
        """Tokens that follow each other by number."""
        tokens = self.values.shape[-1]
        size = -(-tokens // MOST_GROUPS)
        return tuple(range(start, min(start + size, tokens)) for start in range(0, tokens, size))

    @property
    def most_read(self) -> np.ndarray:
        """(h, w) int: which group each place reads most, for its size."""
        means = np.stack([self.values[..., group.start : group.stop].mean(axis=-1) for group in self.groups], axis=-1)
        found: np.ndarray = means.argmax(axis=-1)
        return found

    def line(self) -> str:
        """The tokens in words."""
        height, width, tokens = self.values.shape
        places = np.bincount(self.most_read.ravel(), minlength=len(self.groups))
        first = int(places.argmax())
        group = self.groups[first]
        read = float(self.each[group.start : group.stop].sum())
        falling = np.cumsum(np.sort(self.each)[::-1])
        half = min(int(np.searchsorted(falling, 0.5 - 1e-6)) + 1, tokens)
        return (
            f"level {self.level} ({width} x {height}), {self.what}: {group_name(group)} read most at "
            f"{places[first] / places.sum():.0%} of the places, {read:.3f} of all that is read, "
            f"even {len(group) / tokens:.3f}; half of all is read from {half} of {tokens} tokens, "
            f"most from token {int(self.each.argmax())}, {self.each.max():.3f}, even {self.even:.3f}"
        )


@dataclass(frozen=True, kw_only=True)
class LevelFrames:
    """How much each frame of a window (a row) reads from each frame (a column): of a row 1 in all."""

    level: int
    what: str
    values: np.ndarray  # (F, F)

    @property
    def even(self) -> float:
        return 1 / len(self.values)

    def line(self) -> str:
        """The table in words."""
        places = np.arange(len(self.values))
        away = np.abs(places[:, None] - places)
        told = [
            f"{name} {self.values[chosen].mean():.3f}"
            for name, chosen in (("itself", away == 0), ("each beside it", away == 1), ("each farther off", away > 1))
            if chosen.any()
        ]
        return f"level {self.level}, {self.what}: a frame reads {', '.join(told)}, even {self.even:.3f}"


LevelFound = LevelMap | LevelTokens | LevelFrames


@dataclass(frozen=True, kw_only=True)
class Looked:
    """All that was seen of one run."""

    pictures: dict[str, np.ndarray]  # (S, S, 3) uint8, by name
    found: tuple[LevelFound, ...]

    @property
    def headings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.what for one in self.found))

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(sorted({one.level for one in self.found}))

    def at(self, level: int, what: str) -> LevelFound | None:
        return next((one for one in self.found if (one.level, one.what) == (level, what)), None)


def group_name(group: range) -> str:
    """Tokens, as a legend and a sentence call them."""
    return f"token {group.start}" if len(group) == 1 else f"tokens {group.start} to {group.stop - 1}"


def lines(looked: Looked) -> list[str]:
    """All that was seen as words, a line a level and quantity."""
    return [one.line() for one in looked.found]
