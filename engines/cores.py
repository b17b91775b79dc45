"""The cores of the CPU that this process has.

Standard library alone: whoever measures or shares out threads asks here, whatever runs the graphs.
"""

from __future__ import annotations

import os

MOST_THREADS = 1024  # every graph has a pool of its own: a mistyped number would exhaust the machine


def available_cores() -> int:
    """The cores this process may run on; a container's cpuset counts."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
