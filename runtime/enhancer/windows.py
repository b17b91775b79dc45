"""Windows over a clip whose length nobody knows yet: 16 frames with 4 in common, as the restorer sees them.

A window is one call of the restorer, which looks at all frames of it. Every window but the first throws away what it
gives for its first frames: the window before has given them, with more behind them in sight.

Source: SPEC 9, plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from runtime.enhancer.presets import WINDOW

OVERLAP = 4  # frames that a window has in common with the one before

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Window(Generic[Item]):
    """Frames that the restorer sees together."""

    start: int  # of its first frame, in the clip
    items: tuple[Item, ...]  # at most WINDOW
    first_kept: int  # so many results at its beginning are thrown away

    @property
    def end(self) -> int:
        """The frame behind its last."""
        return self.start + len(self.items)


def windows(
    frames: Iterable[Item], *, size: int = WINDOW, overlap: int = OVERLAP, done: int = 0
) -> Iterator[Window[Item]]:
    """Cut `frames` into windows as they come; one frame more than a window is held.

    `done`: results that there are, up to the end of a window, of a run that is gone on with: then the first frame that
    is given is `goes_on_at(done)`. Nothing comes where all of them have results. Raises ValueError.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"need 0 <= overlap < size, got {overlap=}, {size=}; lower the overlap")
    start = goes_on_at(done, overlap=overlap)
    held: list[Item] = []
    known = done - start  # results that the window before has given
    for frame in frames:
        if len(held) == size:
            yield Window(start=start, items=tuple(held), first_kept=known)
            held, start, known = held[size - overlap :], start + size - overlap, overlap
        held.append(frame)
    if len(held) > known:
        yield Window(start=start, items=tuple(held), first_kept=known)


def goes_on_at(done: int, *, overlap: int = OVERLAP) -> int:
    """The first frame to give to `windows` where `done` frames have their results, up to the end of a window."""
    return max(done - overlap, 0)
