"""What a window's frames attend to among the image tokens and the motion tokens: watched in the literal program.

Every spatial cross-attention reads both, each with a softmax of its own, and adds them. So there are two questions: how
much of what is added comes from the motion tokens, and how sharply a place picks one token of the many. Only the
conditional row counts, which is the last of three.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from export.attention_maps.maps import LevelMap
from export.hunyuanportrait.reference.unet import ReferenceUNet, SpatialMotionAttention, heads_first

FRAME = "a frame"
SHARE, IMAGE, MOTION = "motion's share of what is read", "sharpest image token", "sharpest motion token"
_ROWS = 3  # unconditional, drop-motion, conditional: a call of the UNet each
_BLOCK = re.compile(r"(down_blocks|mid_block|up_blocks)\.?(\d*)")


@dataclass
class Watched:
    """Sums by level and heading, over layers, steps, heads, windows and frames."""

    levels: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)  # how many there are
    calls: int = 0

    @property
    def wanted(self) -> bool:
        return self.calls % _ROWS == 0

    def maps(self) -> tuple[LevelMap, ...]:
        made = []
        for level, sums in sorted(self.levels.items()):
            for what, total in sums.items():
                side = round(total.numel() ** 0.5)
                even = 0.5 if what == SHARE else 1 / self.tokens[what]
                values = (total / self.counts[level]).reshape(side, side).numpy()
                made.append(LevelMap(level=level, what=what, values=values, even=even, on=FRAME))
        return tuple(made)


@contextmanager
def watching(unet: ReferenceUNet, watched: Watched) -> Iterator[None]:
    """Fill `watched` with what `unet` attends to while the block runs."""
    top = len(unet.down_blocks) - 1
    hooks = [unet.register_forward_pre_hook(lambda *_: _count(watched))]
    for name, module in unet.named_modules():
        processor = getattr(module, "processor", None)
        if type(processor) is SpatialMotionAttention:
            level = _level(name, top)
            hooks.append(
                module.register_forward_pre_hook(
                    lambda attn, given, words, level=level: _see(attn, given, words, level, watched), with_kwargs=True
                )
            )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _level(name: str, top: int) -> int:
    match = _BLOCK.match(name)
    assert match is not None, name
    block, number = match.groups()
    return int(number) if block == "down_blocks" else top if block == "mid_block" else top - int(number)


def _count(watched: Watched) -> None:
    watched.calls += 1


def _see(attn: Any, given: tuple[Any, ...], words: dict[str, Any], level: int, watched: Watched) -> None:
    if not watched.wanted:
        return
    hidden = given[0] if given else words["hidden_states"]
    processor = attn.processor
    image, motion = processor.contexts(hidden)
    q = heads_first(attn.to_q(hidden), attn.heads)
    sizes, sharp = {}, {}
    for what, tokens, to_k, to_v in (
        (IMAGE, image, attn.to_k, attn.to_v),
        (MOTION, motion, processor.to_k_ip[0], processor.to_v_ip[0]),
    ):
        k, v = (heads_first(project(tokens), attn.heads) for project in (to_k, to_v))
        seen = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)  # (rows, heads, cells, tokens)
        sharp[what] = seen.amax(dim=-1).mean(dim=(0, 1))
        sizes[what] = (seen @ v).transpose(1, 2).flatten(2).norm(dim=-1).mean(dim=0)
        watched.tokens[what] = tokens.shape[1]
    added = processor.scale * sizes[MOTION]
    found = {SHARE: added / (sizes[IMAGE] + added).clamp(min=torch.finfo(added.dtype).tiny), **sharp}
    sums = watched.levels.setdefault(level, {})
    for what, values in found.items():
        sums[what] = sums[what] + values if what in sums else values
    watched.counts[level] = watched.counts.get(level, 0) + 1
