"""Less memory for a backward pass, for a forward pass more: blocks keep what they were given and are computed again.

Source: Training Deep Nets with Sublinear Memory Cost (Chen et al. 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def checkpointed(
    network: nn.Module,
    kinds: tuple[type[nn.Module], ...],
    again: Callable[[], AbstractContextManager] = nullcontext,
) -> Iterator[None]:
    """What `network` computes inside keeps the inputs of its blocks alone; the backward pass may come after the end.

    A block is a module of one of these `kinds`; none may lie in another. Blocks are computed again in the context that
    `again` makes: the one they were computed in, where that chooses kernels. There must be no randomness in them.
    """
    blocks = [module for module in network.modules() if isinstance(module, kinds)]
    for block in blocks:
        block.forward = partial(
            checkpoint,
            block.forward,
            use_reentrant=False,
            preserve_rng_state=False,
            context_fn=lambda: (nullcontext(), again()),
        )
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
