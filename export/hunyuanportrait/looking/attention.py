"""What a clip's frames attend to in the image tokens, the motion tokens and each other: watched in the literal program.

A cross-attention in space adds two: every cell reads the portrait's image tokens, and its frame's motion tokens, by a
softmax each. How far one outweighs the other is therefore no matter of attention alone: it is compared what the two add
to the cell. Along time every cell reads itself in the frames of its window. Cross-attentions along time are left out:
what they read is the window's mean, the same for all its frames.

Only rows with portrait and motion count, and of these only the clip's frames, not those made up at its ends; the table
of frames has both, since a window may wrap round the ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from export.attention_maps.maps import LevelFound, LevelFrames, LevelMap, LevelTokens
from export.attention_maps.sums import Hook, Mean, attention, cells, concentration, hooked
from export.hunyuanportrait.reference.unet import ReferenceUNet, heads_first

FRAME = "a frame"  # the picture that maps lie upon
FROM_MOTION, OWN = "from the motion tokens", "motion: the frame's own"
MOTION_FEW, MOTION, IMAGE_FEW, IMAGE = (
    "motion: how few tokens",
    "motion tokens",
    "image: how few tokens",
    "image tokens",
)
FRAMES = "frames of the window"
ROWS = 3  # calls for a window: without portrait and motion, without motion, with both


@dataclass
class Read:
    """What is read of one kind of tokens."""

    tokens: Mean = field(default_factory=Mean)  # (L, n): from each token by each cell
    few: Mean = field(default_factory=Mean)  # (L,): how concentrated that is in a head


@dataclass
class Sums:
    """Of one level, over layers, steps, windows, heads and frames."""

    image: Read = field(default_factory=Read)
    motion: Read = field(default_factory=Read)
    share: Mean = field(default_factory=Mean)  # (L,): what motion adds to a cell, of what both add
    own: Mean = field(default_factory=Mean)  # (L,): of what motion adds, what the clip's mean tokens would not
    frames: Mean = field(default_factory=Mean)  # (F, F)


@dataclass
class Watched:
    """What was seen of a run whose windows are given, in the order of the calls: of each, which places are frames of
    the clip."""

    windows: Sequence[Sequence[int]]
    levels: dict[int, Sums] = field(default_factory=dict)
    calls: int = 0

    @property
    def wanted(self) -> bool:
        """Whether the call under way has portrait and motion."""
        return self.calls % ROWS == 0

    @property
    def places(self) -> Sequence[int]:
        """Of the window under way."""
        return self.windows[(self.calls - 1) // ROWS]

    def found(self) -> tuple[LevelFound, ...]:
        """Seven of each level."""
        made: list[LevelFound] = []
        for level, sums in sorted(self.levels.items()):

            def drawn(what: str, mean: Mean, even: float, level: int = level) -> LevelMap:
                return LevelMap(level=level, what=what, values=cells(mean.value), even=even, on=FRAME)

            def tokens(what: str, mean: Mean, level: int = level) -> LevelTokens:
                return LevelTokens(level=level, what=what, values=cells(mean.value), on=FRAME)

            made += [
                drawn(FROM_MOTION, sums.share, 0.5),
                drawn(OWN, sums.own, 0.0),
                drawn(MOTION_FEW, sums.motion.few, 0.0),
                tokens(MOTION, sums.motion.tokens),
                drawn(IMAGE_FEW, sums.image.few, 0.0),
                tokens(IMAGE, sums.image.tokens),
                LevelFrames(level=level, what=FRAMES, values=sums.frames.value.numpy()),
            ]
        return tuple(made)


@contextmanager
def watching(unet: ReferenceUNet, watched: Watched) -> Iterator[None]:
    """Fill `watched` with what `unet` attends to while the block runs."""
    hooks: list[tuple[nn.Module, Hook]] = [(unet, lambda *_: _count(watched))]
    for name, module in unet.named_modules():
        along_time = ".temporal_transformer_blocks." in name
        if not name.endswith(".attn1" if along_time else ".attn2"):
            continue
        sums = watched.levels.setdefault(_level(name, len(unet.config["block_out_channels"])), Sums())
        hooks.append((module, partial(_temporal if along_time else _spatial, sums=sums, watched=watched)))
    with hooked(hooks):
        yield


def _count(watched: Watched) -> None:
    watched.calls += 1


def _level(name: str, levels: int) -> int:
    """down_blocks.0 is at the finest level, mid_block and up_blocks.0 are at the coarsest."""
    block, number = name.split(".")[:2]
    if block == "mid_block":
        return levels - 1
    return int(number) if block == "down_blocks" else levels - 1 - int(number)


def _spatial(attend: Any, given: tuple[Tensor, ...], *, sums: Sums, watched: Watched) -> None:
    """given: x (F, L, C). Frame by frame, since there are many cells."""
    if not watched.wanted or not watched.places:
        return
    x, motion_read = given[0], attend.processor
    image, motion = motion_read.contexts(x)
    mean = motion[list(watched.places)].mean(dim=0, keepdim=True)
    by_motion = (motion_read.to_k_ip[0], motion_read.to_v_ip[0])
    for place in watched.places:
        cell, tokens = x[place : place + 1], motion[place : place + 1]
        seen, image_adds = _adds(attend, cell, image[place : place + 1], attend.to_k, attend.to_v)
        _note(sums.image, seen)
        seen, motion_adds = _adds(attend, cell, tokens, *by_motion)
        _note(sums.motion, seen)
        _, mean_adds = _adds(attend, cell, mean, *by_motion)
        by_image, of_motion = image_adds.norm(dim=-1), motion_adds.norm(dim=-1)
        sums.share.add(_part(motion_read.scale * of_motion, by_image + motion_read.scale * of_motion))
        # At most 1: a frame whose own tokens do the opposite of the mean's counts as one that is wholly its own.
        sums.own.add(_part((motion_adds - mean_adds).norm(dim=-1), of_motion).clamp(max=1))


def _temporal(attend: Any, given: tuple[Tensor, ...], *, sums: Sums, watched: Watched) -> None:
    """given: x (L, F, C)."""
    if watched.wanted:
        sums.frames.add(attention(attend, given[0], given[0]).mean(dim=(0, 1)))


def _adds(attend: Any, x: Tensor, tokens: Tensor, to_k: nn.Module, to_v: nn.Module) -> tuple[Tensor, Tensor]:
    """x (1, L, C), tokens (1, n, D) -> probabilities (heads, L, n), and what is added to each cell (L, C)."""
    seen = attention(attend, x, tokens, to_k)
    taken = (seen @ heads_first(to_v(tokens), attend.heads)).transpose(1, 2).flatten(2)
    return seen[0], F.linear(taken, attend.to_out[0].weight)[0]


def _note(read: Read, seen: Tensor) -> None:
    read.tokens.add(seen.mean(dim=0))
    read.few.add(concentration(seen).mean(dim=0))


def _part(part: Tensor, whole: Tensor) -> Tensor:
    """0 where there is nothing."""
    return part / whole.clamp(min=1e-12)
