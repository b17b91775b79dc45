"""Times of a call on the device: CUDA events where there is one, the wall clock on a CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of every repetition after the warm-up."""

    seconds: tuple[float, ...]

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)

    def facts(self) -> dict[str, float | int]:
        return {
            "median_s": self.median_s,
            "least_s": min(self.seconds),
            "most_s": max(self.seconds),
            "repeats": len(self.seconds),
        }

    def __str__(self) -> str:
        return f"{self.median_s * 1e3:.4g} ms (median of {len(self.seconds)}, {min(self.seconds) * 1e3:.4g} to " + (
            f"{max(self.seconds) * 1e3:.4g})"
        )


def measure(
    call: Callable[[], object], device: str, *, warmup: int = 2, repeats: int = 9, at_most_s: float = 10.0
) -> Times:
    """`call` `warmup` times, then up to `repeats` times, fewer where `at_most_s` is used up, but at least once.

    On a CPU just once: there the check itself is tried, and its times say nothing.
    """
    if device == "cpu":
        warmup, repeats = 0, 1
    for _ in range(warmup):
        call()
    once = _event_time if device == "cuda" else _wall_time
    seconds: list[float] = []
    while len(seconds) < repeats and sum(seconds) < at_most_s:
        seconds.append(once(call))
    return Times(seconds=tuple(seconds))


def _event_time(call: Callable[[], object]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def _wall_time(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
