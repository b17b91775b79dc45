"""Exporting the graphs of a bundle one after the other, in whichever process."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engines.bundle_writer import BundleWriter
from engines.manifest import GraphRecord
from export.graphs.build_graph import SharedNetworks, build_graph
from export.graphs.graph import Graph
from export.graphs.graph_steps import GraphStep
from export.two_processes.choice import IMPORTED


@dataclass(frozen=True, kw_only=True)
class GraphTask:
    """A graph to be exported, in whichever process: what can be sent of a GraphStep, and what else it takes."""

    name: str
    facts: Mapping[str, Any]
    later: frozenset[str]  # networks that other graphs still need
    owner: Path | None  # the graph whose file holds this one's weights


def graph_exporter(
    graphs: Mapping[str, Graph],
    *,
    networks: SharedNetworks,
    writer: BundleWriter,
    flops: Callable[[Graph], Mapping[str, int]],
    threads: int | None,
) -> Callable[[GraphTask, Callable[..., None]], GraphRecord]:
    """What exports a GraphTask of these graphs; `threads`: of ONNX Runtime, None: all cores."""

    def export(task: GraphTask, announce: Callable[..., None]) -> GraphRecord:
        graph = graphs[task.name]
        return build_graph(
            GraphStep(graph=graph, facts=task.facts, record=None, before=None),
            writer=writer,
            networks=networks,
            later=task.later,
            flops=functools.partial(flops, graph),
            owner=task.owner,
            announce=announce,
            threads=threads,
        )

    return export


def hide_modules() -> None:
    """From now on a search for garbage passes by what libraries are made of: half a second, once or twice a graph."""
    for heavy in IMPORTED:
        importlib.import_module(heavy)
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def modules_hidden() -> Iterator[None]:
    hide_modules()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Inside, PyTorch computes with so many."""
    usual = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
