"""Cores of a replica's own: replicas of a few threads on one machine that share all cores get in each other's way."""

from __future__ import annotations

import os
from collections.abc import Collection


def own_cores(threads: int | None, rank: int) -> Collection[int]:
    """As many cores as a replica has threads, of those that this process may use: the `rank`-th such part of them.

    All of them where no number of threads was set, where there are too few cores for as many replicas, and on systems
    that do not say.
    """
    if not hasattr(os, "sched_getaffinity"):
        return ()
    there = sorted(os.sched_getaffinity(0))
    if not threads or (rank + 1) * threads > len(there):
        return there
    return there[rank * threads : (rank + 1) * threads]


def keep_to(cores: Collection[int]) -> None:
    """This thread, and those that it begins, run on these alone; none: anywhere."""
    if cores:
        os.sched_setaffinity(0, cores)
