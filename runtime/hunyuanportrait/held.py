"""Rows of one shape on the device, each under a key: no more of them than were ever needed at one time."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np

from engines.backend import Backend, Buffer

Key = TypeVar("Key", bound=Hashable)


class Held(Generic[Key]):
    """A buffer (rows, *cell), which grows `by` rows at a time. Its first `own` rows are the caller's to write to."""

    def __init__(self, backend: Backend, cell: Sequence[int], dtype: str, *, by: int, own: int = 0) -> None:
        self._backend, self._cell, self._dtype, self._by, self._own = backend, tuple(cell), dtype, by, own
        self._rows: dict[Key, int] = {}
        self._free: list[int] = []  # a heap: rows that are asked for together lie side by side, mostly
        self._buffer: Buffer | None = backend.empty((own, *self._cell), dtype) if own else None

    @property
    def buffer(self) -> Buffer:
        assert self._buffer is not None, "nothing was held so far"
        return self._buffer

    @property
    def own(self) -> Buffer:
        return self._backend.view(self.buffer, 0, self._own)

    @property
    def keys(self) -> list[Key]:
        return list(self._rows)

    def row(self, key: Key) -> int:
        return self._rows[key]

    def put(self, keys: Sequence[Key], source: Buffer, places: Sequence[int]) -> None:
        """Row `key` is `source[place]` from now on, whatever it was; keys and places go in pairs."""
        rows = self._rows_for(keys)
        for run in _runs(rows):
            first = rows[run.start]
            out = self._backend.view(self.buffer, first, first + len(run))
            self._backend.take(source, [places[i] for i in run], out)

    def take(self, keys: Sequence[Key], out: Buffer) -> None:
        self._backend.take(self.buffer, [self._rows[key] for key in keys], out)

    def download(self, keys: Sequence[Key]) -> np.ndarray:
        """What is held of these, on the host: (n, *cell)."""
        if not keys:
            return np.empty((0, *self._cell), self._dtype)
        out = self._backend.empty((len(keys), *self._cell), self._dtype)
        self.take(keys, out)
        return self._backend.download(out)

    def drop(self, keys: Iterable[Key]) -> None:
        for key in keys:
            heapq.heappush(self._free, self._rows.pop(key))

    def reserve(self, rows: int) -> None:
        """Have room for so many rows in all."""
        if (more := rows - len(self._rows) - len(self._free)) > 0:
            old, before = self._buffer, 0 if self._buffer is None else self._buffer.shape[0]
            more = -(-more // self._by) * self._by
            self._buffer = self._backend.empty((before + more, *self._cell), self._dtype)
            if old is not None:
                self._backend.take(old, range(before), self._backend.view(self._buffer, 0, before))
            for row in range(before, before + more):
                heapq.heappush(self._free, row)

    def _rows_for(self, keys: Sequence[Key]) -> list[int]:
        new = [key for key in dict.fromkeys(keys) if key not in self._rows]
        self.reserve(len(self._rows) + len(new))
        for key in new:
            self._rows[key] = heapq.heappop(self._free)
        return [self._rows[key] for key in keys]


def _runs(rows: Sequence[int]) -> Iterator[range]:
    """Places in `rows` where one follows the other by one, as long as they do."""
    breaks = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(rows)) if b != a + 1), len(rows)]
    return (range(a, b) for a, b in pairwise(breaks) if a < b)
