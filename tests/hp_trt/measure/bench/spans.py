"""Pieces of one stage's work, as a run leaves them behind."""

from __future__ import annotations

from runtime.stages import Event


def spans(stage: str, *seconds: float, start_s: float = 0.0) -> list[Event]:
    return [
        Event(stage=stage, kind="unit", done=0, total=None, start_s=start_s + i, seconds=s)
        for i, s in enumerate(seconds)
    ]
