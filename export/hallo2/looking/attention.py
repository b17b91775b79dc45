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
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from export.attention_maps.maps import LevelMap
from export.attention_maps.sums import Hook, Mean, attention, cells, hooked
from export.hallo2.reference.transformers import TemporalBlock
from export.hallo2.reference.weights import Networks

PORTRAIT, FRAME = "the portrait", "a frame"  # the pictures that maps lie upon
READ, FROM_PORTRAIT, FROM_MOTION = "read in the portrait", "from the portrait", "from the motion frames"
FROM_MOOD = "from the mood"
_QUERIES = 1024  # cells that are looked at together


@dataclass
class Sums:
    """Of one level, over layers, steps, heads and frames; all are (L,)."""

    read: Mean = field(default_factory=Mean)  # what each of the portrait's cells is given, 1 where all are given alike
    reading: Mean = field(default_factory=Mean)  # what each of a frame's cells takes from the portrait
    motion: Mean = field(default_factory=Mean)  # and from the motion frames
    mood: Mean = field(default_factory=Mean)  # and, of what it takes from tokens, from the mood's
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
            quantities = [
                (READ, sums.read, 1.0, PORTRAIT),
                (FROM_PORTRAIT, sums.reading, 0.5, FRAME),
                (FROM_MOTION, sums.motion, even, FRAME),
            ]
            if sums.mood.count:
                quantities.append((FROM_MOOD, sums.mood, 1 / sums.tokens, FRAME))
            made += [
                LevelMap(level=level, what=what, values=cells(mean.value), even=alike, on=on)
                for what, mean, alike, on in quantities
            ]
        return tuple(made)


@contextmanager
def watching(networks: Networks, watched: Watched) -> Iterator[None]:
    """Fill `watched` with what the denoising net of `networks` attends to while the block runs."""
    unet = networks.denoising_unet
    hooks: list[tuple[nn.Module, Hook]] = [(unet, lambda *_: _count(watched))]
    for place in networks.config.places:
        sums = watched.levels.setdefault(place.bank, Sums())
        watch: dict[str, Any] = {"sums": sums, "watched": watched}
        spatial = unet.get_submodule(f"{place.name}.transformer_blocks.0.attn1")
        hooks.append((spatial, partial(_spatial, **watch)))
        if networks.config.moods:
            crossed = unet.get_submodule(f"{place.name}.transformer_blocks.0.attn2")
            hooks.append((crossed, partial(_crossed, **watch)))
        module = f"{place.block}.motion_modules.{place.layer}.temporal_transformer.transformer_blocks.0"
        for attend in cast(TemporalBlock, unet.get_submodule(module)).attention_blocks:
            hooks.append((attend, partial(_temporal, **watch)))
    with hooked(hooks):
        yield


def _count(watched: Watched) -> None:
    watched.calls += 1


def _spatial(attend: Any, given: tuple[Tensor, ...], *, sums: Sums, watched: Watched) -> None:
    """given: x (2F, L, C) and, of the call that reads the bank, own cells and the portrait's (2F, 2L, C)."""
    if not watched.wanted or given[1].shape[1] == given[0].shape[1]:
        return
    x, context = (part[watched.frames :] for part in given[:2])  # the conditional half
    length = x.shape[1]
    read, reading = torch.zeros(length), torch.zeros(length)
    for frame in range(len(x)):
        for start in range(0, length, _QUERIES):
            part = slice(start, start + _QUERIES)
            seen = attention(attend, x[frame : frame + 1, part], context[frame : frame + 1])[0]  # (heads, q, 2L)
            portrait = seen[..., length:].mean(dim=0)
            read += portrait.sum(dim=0)
            reading[part] += portrait.sum(dim=1)
    sums.read.add(read / read.sum() * length)
    sums.reading.add(reading / len(x))


def _crossed(attend: Any, given: tuple[Tensor, ...], *, sums: Sums, watched: Watched) -> None:
    """given: x (2F, L, C) and tokens (2F, n + 1, D), the mood's last."""
    if not watched.wanted:
        return
    x, tokens = (part[watched.frames :] for part in given[:2])  # the conditional half
    sums.mood.add(attention(attend, x, tokens)[..., -1].mean(dim=(0, 1)))
    sums.tokens = tokens.shape[1]


def _temporal(attend: Any, given: tuple[Tensor, ...], *, sums: Sums, watched: Watched) -> None:
    """given: x (2L, T, C), motion frames first."""
    if not watched.wanted:
        return
    x = given[0]
    x = attend.pos_encoder(x[x.shape[0] // 2 :])
    seen = attention(attend, x[:, watched.motion_frames :], x)  # (L, heads, F, T)
    sums.motion.add(seen[..., : watched.motion_frames].sum(dim=-1).mean(dim=(1, 2)))
