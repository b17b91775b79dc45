"""What a clip's frames attend to in the portrait and in the motion frames: watched in the literal program.

In the spatial transformers the conditional half reads its own cells and as many of the portrait, then the image tokens,
behind which the mood's stands where the net knows moods; in the motion modules every cell reads itself in the motion
frames and in the clip. What is kept are sums, so a picture of any size can be
watched. Only the last clip counts: the first one's motion frames are the portrait itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from export.attention_maps.maps import LevelMap
from export.hallo2.reference.transformers import TemporalBlock
from export.hallo2.reference.weights import Networks

PORTRAIT, FRAME = "the portrait", "a frame"  # the pictures that maps lie upon
READ, FROM_PORTRAIT, FROM_MOTION = "read in the portrait", "from the portrait", "from the motion frames"
FROM_MOOD = "from the mood"
_QUERIES = 1024  # cells that are looked at together


@dataclass
class Sums:
    """Of one level, over layers, steps, heads and frames."""

    read: Tensor | None = None  # (L,): what each of the portrait's cells is given, 1 where all are given the same
    reading: Tensor | None = None  # (L,): what each of a frame's cells takes from the portrait
    motion: Tensor | None = None  # (L,): and from the motion frames
    mood: Tensor | None = None  # (L,): and, of what it takes from tokens, from the mood's
    spatial: int = 0
    temporal: int = 0
    crossed: int = 0
    tokens: int = 0  # with the mood's


@dataclass
class Watched:
    """What was seen of a run of so many clips, `steps` calls of the denoising net each."""

    clips: int
    steps: int
    motion_frames: int
    frames: int
    levels: dict[int, Sums] = field(default_factory=dict)
    calls: int = 0

    @property
    def wanted(self) -> bool:
        """Whether the call under way is of the last clip."""
        return self.calls > self.steps * (self.clips - 1)

    def maps(self) -> tuple[LevelMap, ...]:
        """Three of each level, and a fourth of a net that knows moods."""
        even = self.motion_frames / (self.motion_frames + self.frames)
        made = []
        for level, sums in sorted(self.levels.items()):
            assert sums.read is not None and sums.reading is not None and sums.motion is not None
            made += [
                LevelMap(level=level, what=READ, values=_cells(sums.read / sums.spatial), even=1.0, on=PORTRAIT),
                LevelMap(
                    level=level, what=FROM_PORTRAIT, values=_cells(sums.reading / sums.spatial), even=0.5, on=FRAME
                ),
                LevelMap(
                    level=level, what=FROM_MOTION, values=_cells(sums.motion / sums.temporal), even=even, on=FRAME
                ),
            ]
            if sums.mood is not None:
                values = _cells(sums.mood / sums.crossed)
                made.append(LevelMap(level=level, what=FROM_MOOD, values=values, even=1 / sums.tokens, on=FRAME))
        return tuple(made)


@contextmanager
def watching(networks: Networks, watched: Watched) -> Iterator[None]:
    """Fill `watched` with what the denoising net of `networks` attends to while the block runs."""
    unet = networks.denoising_unet
    hooks = [unet.register_forward_pre_hook(lambda *_: _count(watched))]
    for place in networks.config.places:
        sums = watched.levels.setdefault(place.bank, Sums())
        spatial = unet.get_submodule(f"{place.name}.transformer_blocks.0.attn1")
        hooks.append(
            spatial.register_forward_pre_hook(lambda module, given, sums=sums: _spatial(module, given, sums, watched))
        )
        if networks.config.moods:
            crossed = unet.get_submodule(f"{place.name}.transformer_blocks.0.attn2")
            hooks.append(
                crossed.register_forward_pre_hook(
                    lambda module, given, sums=sums: _crossed(module, given, sums, watched)
                )
            )
        module = f"{place.block}.motion_modules.{place.layer}.temporal_transformer.transformer_blocks.0"
        for attend in cast(TemporalBlock, unet.get_submodule(module)).attention_blocks:
            hooks.append(
                attend.register_forward_pre_hook(
                    lambda module, given, sums=sums: _temporal(module, given, sums, watched)
                )
            )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _count(watched: Watched) -> None:
    watched.calls += 1


def _spatial(attend: Any, given: tuple[Tensor, ...], sums: Sums, watched: Watched) -> None:
    """given: x (2F, L, C) and, of the call that reads the bank, own cells and the portrait's (2F, 2L, C)."""
    if not watched.wanted or given[1].shape[1] == given[0].shape[1]:
        return
    x, context = (part[watched.frames :] for part in given[:2])  # the conditional half
    cells = x.shape[1]
    read, reading = torch.zeros(cells), torch.zeros(cells)
    for frame in range(len(x)):
        for start in range(0, cells, _QUERIES):
            part = slice(start, start + _QUERIES)
            seen = attention(attend, x[frame : frame + 1, part], context[frame : frame + 1])[0]  # (heads, q, 2L)
            portrait = seen[..., cells:].mean(dim=0)
            read += portrait.sum(dim=0)
            reading[part] += portrait.sum(dim=1)
    whole = read.sum()
    sums.read = _plus(sums.read, read / whole * cells)
    sums.reading = _plus(sums.reading, reading / len(x))
    sums.spatial += 1


def _crossed(attend: Any, given: tuple[Tensor, ...], sums: Sums, watched: Watched) -> None:
    """given: x (2F, L, C) and tokens (2F, n + 1, D), the mood's last."""
    if not watched.wanted:
        return
    x, tokens = (part[watched.frames :] for part in given[:2])  # the conditional half
    sums.mood = _plus(sums.mood, attention(attend, x, tokens)[..., -1].mean(dim=(0, 1)))
    sums.crossed, sums.tokens = sums.crossed + 1, tokens.shape[1]


def _temporal(attend: Any, given: tuple[Tensor, ...], sums: Sums, watched: Watched) -> None:
    """given: x (2L, T, C), motion frames first."""
    if not watched.wanted:
        return
    x = given[0]
    x = attend.pos_encoder(x[x.shape[0] // 2 :])
    seen = attention(attend, x[:, watched.motion_frames :], x)  # (L, heads, F, T)
    sums.motion = _plus(sums.motion, seen[..., : watched.motion_frames].sum(dim=-1).mean(dim=(1, 2)))
    sums.temporal += 1


def attention(attend: Any, queries: Tensor, keys: Tensor) -> Tensor:
    """diffusers' Attention `attend` of (b, q, C) to (b, k, C): its probabilities (b, heads, q, k)."""
    q, k = (
        project(x).unflatten(-1, (attend.heads, -1)).transpose(1, 2)
        for project, x in ((attend.to_q, queries), (attend.to_k, keys))
    )
    return (q @ k.transpose(-1, -2) * attend.scale).softmax(dim=-1)


def _plus(sum_so_far: Tensor | None, more: Tensor) -> Tensor:
    return more if sum_so_far is None else sum_so_far + more


def _cells(values: Tensor) -> np.ndarray:
    """(L,) -> (h, w) of a square."""
    side = round(len(values) ** 0.5)
    return values.reshape(side, side).numpy()
