"""What watching any model's attention needs: probabilities, how concentrated they are, and means that grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Hook = Callable[[Any, tuple[Tensor, ...]], None]  # a module, and what it is about to be given


class Mean:
    """Of tensors of one shape, as they come."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Tensor | None = None

    def add(self, more: Tensor) -> None:
        self._sum = more if self._sum is None else self._sum + more
        self.count += 1

    @property
    def value(self) -> Tensor:
        assert self._sum is not None, "nothing was watched"
        return self._sum / self.count


def attention(attend: Any, queries: Tensor, keys: Tensor, to_k: nn.Module | None = None) -> Tensor:
    """diffusers' Attention `attend` of (b, q, C) to (b, k, C): its probabilities (b, heads, q, k).

    `to_k`: what projects the keys in the place of its own.
    """
    q, k = (
        project(x).unflatten(-1, (attend.heads, -1)).transpose(1, 2)
        for project, x in ((attend.to_q, queries), (attend.to_k if to_k is None else to_k, keys))
    )
    return (q @ k.transpose(-1, -2) * attend.scale).softmax(dim=-1)


def concentration(probabilities: Tensor) -> Tensor:
    """(..., k) -> (...): 0 where all k are read alike, 1 where one alone is: 1 - entropy / log k."""
    tokens = probabilities.shape[-1]
    if tokens == 1:
        return probabilities.new_ones(probabilities.shape[:-1])
    return 1 - torch.special.entr(probabilities).sum(dim=-1) / math.log(tokens)


def cells(values: Tensor) -> np.ndarray:
    """(L, ...) -> (h, w, ...) of a square."""
    side = math.isqrt(len(values))
    return values.unflatten(0, (side, side)).numpy()


@contextmanager
def hooked(hooks: Sequence[tuple[nn.Module, Hook]]) -> Iterator[None]:
    """Each module's hook is called before it runs, while the block does."""
    handles = [module.register_forward_pre_hook(hook) for module, hook in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
