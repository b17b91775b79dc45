"""How many graphs are exported at a time where nobody says.

Two processes want two cores, and memory for both: a process with PyTorch and the exporter in it is 1.2 GB large, and of
an export three times the network's float32 weights are reckoned: the network's, the file's, and those of the session
that it is compared in (full size, not compared: 7.0 GB for 6.1 GB of weights). The second process imports for some
seconds of a core first; `pocket`, of 13 million parameters in all graphs, gains by it, and smaller networks stay in
one.

Counting parameters takes PyTorch, and importing it seconds, which the second process may well use for the same: presets
that are known to gain have it begin before.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engines.cores import available_cores
from engines.manifest import MANIFEST_NAME
from export.plans.build_memory import free_host_bytes

if TYPE_CHECKING:  # torch
    from export.graphs.graph import Graph
    from export.models import Model

PROCESS_BYTES, BYTES_PER_PARAMETER = 1_200_000_000, 3 * 4
WORTH_IT = 10_000_000  # parameters in all graphs
SURE = frozenset({"pocket", "talk_pocket"})  # presets of more, which are small beside the processes
IMPORTED = ("export.build", "torch._dynamo", "onnxscript.optimizer")  # most of what an export loads


def graph_parameters(model: Model, graphs: Mapping[str, Graph]) -> dict[str, int]:
    """By graph: how many parameters its networks have. How long its export takes, and how much memory, grows with it.

    Of a graph in 8 bits none: it is not exported of a network."""

    @functools.cache
    def count(network: str) -> int:
        return sum(parameter.numel() for parameter in model.build(network).parameters())

    return {
        name: 0 if graph.quantized else sum(count(network) for network in graph.networks)
        for name, graph in graphs.items()
    }


def usual_processes(parameters: Sequence[int], *, cores: int | None = None, free_bytes: int | None = None) -> int:
    """1 or 2. `parameters`: of each graph. By default with the cores and the memory that this process may use."""
    cores = available_cores() if cores is None else cores
    free = free_host_bytes() if free_bytes is None else free_bytes
    needed = 2 * PROCESS_BYTES + BYTES_PER_PARAMETER * sum(sorted(parameters)[-2:])
    return 2 if cores > 1 and sum(parameters) > WORTH_IT and needed <= free else 1


def begins_early(preset: str, bundle: Path, *, cores: int | None = None, free_bytes: int | None = None) -> bool:
    """Whether `usual_processes` will say 2, and all graphs are to be made, as far as is known before PyTorch is."""
    if preset not in SURE or (bundle / MANIFEST_NAME).exists():
        return False
    return usual_processes([WORTH_IT + 1], cores=cores, free_bytes=free_bytes) == 2
