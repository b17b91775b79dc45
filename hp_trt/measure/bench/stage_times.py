"""How long each stage took, from the spans of one run or several of the same clip.

A span is one piece of work: a frame read, a group of motion frames, a window's step, a chunk decoded. Percentiles
are over the pieces of all runs together, seconds are a run's mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from runtime.stages import Event


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """One stage of one clip."""

    stage: str
    count: int  # pieces of work a run
    p50_ms: float  # of one piece
    p90_ms: float
    p99_ms: float
    total_s: float  # a run's mean
    share: float  # of a run's wall time, 0..1; of a clip nothing overlaps, so that shares add up to at most 1


def stage_times(runs: Sequence[Sequence[Event]], walls_s: Sequence[float]) -> list[StageTimes]:
    """Times by stage, in the order in which stages first appear. `runs`: each run's spans; `walls_s`: its duration."""
    if not runs or len(runs) != len(walls_s):
        raise ValueError(f"need one duration for each of at least one run, got {len(runs)} and {len(walls_s)}")
    spans = [span for run in runs for span in run]
    return [
        _times(stage, [span.seconds for span in spans if span.stage == stage], len(runs), sum(walls_s))
        for stage in dict.fromkeys(span.stage for span in spans)
    ]


def _times(stage: str, seconds: Sequence[float], runs: int, walls_s: float) -> StageTimes:
    p50, p90, p99 = (float(p) for p in 1000 * np.percentile(seconds, (50, 90, 99)))
    return StageTimes(
        stage=stage,
        count=len(seconds) // runs,
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        total_s=sum(seconds) / runs,
        share=sum(seconds) / walls_s,
    )


@dataclass(frozen=True, kw_only=True)
class FirstFrame:
    """How long until the first frame of `animate` is there, as an array, not yet written."""

    latency_s: float  # from the call
    portrait_ready_s: float  # from the moment the portrait is encoded: what a second clip of it waits


def first_frame(spans: Iterable[Event]) -> FirstFrame:
    """From one run's spans, which count their starts from the call. The run encoded its portrait itself."""
    spans = list(spans)
    frame_s = next(span.start_s for span in spans if span.stage == "write")
    encoded_s = max(span.start_s + span.seconds for span in spans if span.stage == "portrait")
    return FirstFrame(latency_s=frame_s, portrait_ready_s=frame_s - encoded_s)
