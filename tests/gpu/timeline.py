"""A timeline in letters: a lane for each stream, time from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

COLUMNS = 100


def draw(spans: Sequence[Sequence[Any]]) -> str:
    """`spans`: (name, stream, start_s, seconds). A column shows what ran in it longest, "." where nothing did."""
    end_s = max(start + seconds for _, _, start, seconds in spans) or 1e-9
    names = list(dict.fromkeys(name for name, *_ in sorted(spans, key=lambda span: -span[3])))
    letters = dict(zip(names, "abcdefghijklmnopqrstuvwxyz", strict=False))
    streams = list(dict.fromkeys(stream for _, stream, *_ in spans))
    width = max(map(len, streams))
    column_s = end_s / COLUMNS
    lanes = []
    for stream in streams:
        own = [span for span in spans if span[1] == stream]
        busy: list[dict[str, float]] = [{} for _ in range(COLUMNS)]
        for name, _, start, seconds in own:
            for column in range(int(start / column_s), min(int((start + seconds) / column_s) + 1, COLUMNS)):
                inside = min(start + seconds, (column + 1) * column_s) - max(start, column * column_s)
                busy[column][name] = busy[column].get(name, 0.0) + inside
        lane = "".join(letters.get(max(c, key=c.__getitem__), "?") if c else "." for c in busy)
        total = sum(seconds for *_, seconds in own)
        lanes.append(f"{stream:{width}} {lane} {total:.3f} s")
    legend = ", ".join(f"{letter} {name}" for name, letter in letters.items())
    return "\n".join([*lanes, f"{'':{width}} {end_s:.3f} s in all; {legend}"])
