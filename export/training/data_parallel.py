"""Processes that share the batches of a step.

Most of a small preset's work on a CPU is too little to be divided among threads: two processes of one thread each see
almost twice the pictures that one process of two threads sees. They meet at every step, to add up their gradients.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from engines.temporary import temporary_folder

_PATIENCE = timedelta(minutes=10)  # a process that starts reads all of its data first


@dataclass(frozen=True)
class Share:
    """Which of how many processes this one is."""

    process: int = 0
    processes: int = 1

    @property
    def leads(self) -> bool:
        """The one that saves and tells."""
        return self.process == 0

    def add_up(self, parameters: Sequence[nn.Parameter]) -> None:
        """Gradients become the sum of every process's. What has one in any process has one in all of them then: a batch
        may ask less than another."""
        if self.processes == 1:
            return
        has = torch.tensor([float(p.grad is not None) for p in parameters])
        dist.all_reduce(has)
        gradients = []
        for parameter, count in zip(parameters, has.tolist(), strict=True):
            if count and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad is not None:
                gradients.append(parameter.grad)
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def any(self, here: bool) -> bool:
        """Whether it is so in any process; the answer is the same in all of them."""
        if self.processes == 1:
            return here
        answer = torch.tensor(float(here))
        dist.all_reduce(answer, dist.ReduceOp.MAX)
        return bool(answer)


@contextmanager
def data_parallel(processes: int, helper: Callable[[Share], None]) -> Iterator[Share]:
    """Inside, this process leads `processes` of them; the others are started and call `helper`, which is pickled.

    They end when the block does, however it does, and with a leader that is killed.
    """
    if processes == 1:
        yield Share()
        return
    context = multiprocessing.get_context("spawn")
    with temporary_folder("train") as folder:
        meeting = folder / "meeting"
        others = [
            context.Process(
                target=_help, args=(helper, Share(i, processes), meeting, torch.get_num_threads()), daemon=True
            )
            for i in range(1, processes)
        ]
        for other in others:
            other.start()
        try:
            _meet(meeting, Share(0, processes))
            yield Share(0, processes)
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()
            for other in others:
                other.terminate()
                other.join()


def end_with_parent() -> None:
    """In a child: end when the parent was killed. It would sleep for ever, waiting for something to do."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # only children call this

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _help(helper: Callable[[Share], None], share: Share, meeting: Path, threads: int) -> None:
    end_with_parent()
    torch.set_num_threads(threads)
    _meet(meeting, share)
    helper(share)


def _meet(meeting: Path, share: Share) -> None:
    store = dist.FileStore(str(meeting), share.processes)
    dist.init_process_group("gloo", store=store, rank=share.process, world_size=share.processes, timeout=_PATIENCE)
