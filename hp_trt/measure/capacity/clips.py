"""Clips that wait for devices: a simulation, clip by clip, of one queue before any number of them.

A device makes one clip at a time, and whoever has waited longest is next: what the service's lanes do where every token
has the same right (`hp_trt/apps/service/jobs.py`). Arrivals have no memory (Poisson), or are all there at the start.

Held against Erlang's formula, and against the service with one device and with two (`tests/quality/capacity.py`).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Load:
    """What comes. Raises InputError for what cannot be.

    clips      how many are simulated
    every_s    mean seconds from one arrival to the next; None: all are there at the start
    takes_s    seconds that clips take, of which each takes one by chance
    """

    clips: int
    every_s: float | None
    takes_s: Sequence[float]

    def __post_init__(self) -> None:
        if self.clips < 1:
            raise InputError(f"a load needs at least 1 clip, got {self.clips}")
        if self.every_s is not None and not (math.isfinite(self.every_s) and self.every_s > 0):
            raise InputError(f"clips arrive every so many seconds, above 0, got {self.every_s}")
        takes_s = np.asarray(self.takes_s, float)
        if not takes_s.size or not (np.isfinite(takes_s) & (takes_s > 0)).all():
            raise InputError(f"clips take seconds above 0, got {takes_s[:5].tolist()}")


@dataclass(frozen=True, kw_only=True)
class Served:
    """What became of a load, in order of arrival."""

    waits_s: np.ndarray  # (clips,) float64: from the arrival until a device began
    ends_s: np.ndarray  # (clips,) float64: from the beginning of all
    busy: float  # share of the devices' time, until the last end

    @property
    def all_s(self) -> float:
        """Until the last clip was there."""
        return float(self.ends_s.max())

    def wait_s(self, share: float) -> float:
        """At most so long did this share of the clips wait."""
        return float(np.quantile(self.waits_s, share))


def queued(arrivals_s: np.ndarray, takes_s: np.ndarray, devices: int) -> Served:
    """Clips that arrive at these times, in order, and take so long each, on so many devices of one kind.

    Both (clips,) float64, seconds. Raises InputError for no device.
    """
    if devices < 1:
        raise InputError(f"clips need at least 1 device, got {devices}")
    free = [0.0] * devices
    begins = np.empty(len(arrivals_s))
    for clip, (arrival, takes) in enumerate(zip(arrivals_s, takes_s, strict=True)):
        begins[clip] = max(arrival, free[0])
        heapq.heapreplace(free, begins[clip] + takes)
    ends = begins + takes_s
    return Served(waits_s=begins - arrivals_s, ends_s=ends, busy=float(takes_s.sum() / (devices * ends.max())))


def simulate(load: Load, devices: int, *, seed: int = 0) -> Served:
    """The load on so many devices. Raises InputError for none."""
    rng = np.random.default_rng(seed)
    gaps = np.zeros(load.clips) if load.every_s is None else rng.exponential(load.every_s, load.clips)
    return queued(np.cumsum(gaps), rng.choice(np.asarray(load.takes_s, float), load.clips), devices)


def devices_for(load: Load, *, most_wait_s: float, share: float = 0.95) -> int:
    """The fewest devices with which this share of the clips waits no longer. Raises InputError for a load at once."""
    if load.every_s is None:
        raise InputError("a load that is all there at the start waits however many devices there are")
    low = max(1, math.floor(float(np.mean(load.takes_s)) / load.every_s))  # with fewer the queue grows for ever
    high = low
    while simulate(load, high).wait_s(share) > most_wait_s:
        low, high = high + 1, high * 2
    while low < high:
        middle = (low + high) // 2
        if simulate(load, middle).wait_s(share) <= most_wait_s:
            high = middle
        else:
            low = middle + 1
    return high
