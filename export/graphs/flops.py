"""How much arithmetic a graph is, and how much the released program would do in its place.

Counted by torch on tensors that have shapes and no content, one multiply-add as 2: nothing is computed, no memory is
taken. The bench sets "done" against "released" for a whole clip.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from export.graphs.graph import Graph, Networks


def count(call: Callable[[], object]) -> int:
    """FLOPs of everything torch does in `call`."""
    # The counter knows matrix products; attention kernels fused for the CPU would pass it by.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def graph_flops(graph: Graph, build: Networks) -> dict[str, int]:
    """FLOPs of one call with every named dimension at 1: a row, a frame, a step, all being linear in it.

    A decoder chunk has no terms across frames but convolutions, which are linear as well. Dimensions that are not are
    counted at their usual size, and divided by it: a frame of a usual window. One that is tied to those is as usual
    with them, and nothing is divided by it. `build` makes networks without content.
    """
    usual = {name: graph.spec.ranges[name].opt for name in graph.uneven}
    tied = {name: graph.spec.ranges[name].opt for name in graph.tied}
    sizes = {**dict.fromkeys(graph.spec.ranges, 1), **usual, **tied}
    with torch.device("meta"):
        module = graph.make(build)
        inputs = [t.to("meta") for t in graph.example(sizes).values()]
        wide = [t.float() if t.is_floating_point() else t for t in inputs]
        return {"call": round(count(lambda: module(*wide)) / math.prod(usual.values()))}
