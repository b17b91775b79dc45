"""How many graphs are exported at a time where nobody says.

Two processes want two cores, and memory for both: a process with PyTorch and the exporter in it is 1.2 GB large, and of
an export three times the network's float32 weights are reckoned: the network's, the file's, and those of the session
that it is compared in (full size, not compared: 7.0 GB for 6.1 GB of weights). The second process imports for some
seconds of a core first; `pocket`, of 13 million parameters in all graphs, gains by it, and smaller networks stay in
one.
"""

from __future__ import annotations

from collections.abc import Sequence

from engines.cores import available_cores
from export.plans.build_memory import free_host_bytes

PROCESS_BYTES, BYTES_PER_PARAMETER = 1_200_000_000, 3 * 4
WORTH_IT = 10_000_000  # parameters in all graphs


def usual_processes(parameters: Sequence[int], *, cores: int | None = None, free_bytes: int | None = None) -> int:
    """1 or 2. `parameters`: of each graph. By default with the cores and the memory that this process may use."""
    cores = available_cores() if cores is None else cores
    free = free_host_bytes() if free_bytes is None else free_bytes
    needed = 2 * PROCESS_BYTES + BYTES_PER_PARAMETER * sum(sorted(parameters)[-2:])
    return 2 if cores > 1 and sum(parameters) > WORTH_IT and needed <= free else 1
