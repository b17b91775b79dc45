"""Less memory for a backward pass, for a forward pass more: blocks keep what they were given and are computed again.

Source: Training Deep Nets with Sublinear Memory Cost (Chen et al. 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from export.hunyuanportrait.networks.blocks import SpatioTemporalResBlock
from export.hunyuanportrait.networks.unet import SpatioTemporalTransformer


@contextmanager
def checkpointed(unet: nn.Module, again: Callable[[], AbstractContextManager] = nullcontext) -> Iterator[None]:
    """What `unet` computes inside keeps its blocks' inputs alone; the backward pass may come after the end.

    Blocks are computed again in the context that `again` makes: the one they were computed in, where that chooses
    kernels. There must be no randomness in them; these networks have none.
    """
    blocks = [b for b in unet.modules() if isinstance(b, SpatioTemporalResBlock | SpatioTemporalTransformer)]
    for block in blocks:
        block.forward = partial(  # type: ignore[method-assign]
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
