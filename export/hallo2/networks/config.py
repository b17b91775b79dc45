"""Constructor facts of the two UNets, and the places in them that have attention.

Both UNets have the same skeleton: level i of `channels`, two layers a level on the way down, three on the way up, and
attention in every level but the coarsest, and in the middle. Places of equal size share a bank: bank i < top holds
those of `down_blocks.i`, then those of `up_blocks.(top - i)`; bank top is the middle. Letters: L_i cells of bank i.

Source: SPEC 2 to 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Place:
    """One layer with attention."""

    block: str  # "down_blocks.0", "mid_block", "up_blocks.1"
    layer: int  # inside its block
    bank: int  # which also is the level of its masks
    index: int  # inside its bank
    channels: int
    audio_channels: int  # inside its audio transformer: the input width of the layer's place (SPEC 4.4)

    @property
    def name(self) -> str:
        """As cases and the released program name it: "down_blocks.0.attentions.0"."""
        return f"{self.block}.attentions.{self.layer}"


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """As the golden vectors' `config` names them; `channels` runs from the finest level to the coarsest."""

    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    heads: int = 8
    layers_per_block: int = 2
    image_token_dim: int = 768
    audio_token_dim: int = 768
    groups: int = 32  # of every group norm but those of the motion modules, which always have 32
    motion_heads: int = 8
    motion_positions: int = 32  # m + F at most
    latent_channels: int = 4
    moods: int = 0  # of the denoising net: so many have a token. The published weights know none

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> UNetConfig:
        """From the flat dict of a golden case."""
        return cls(**{**config, "channels": tuple(config["channels"])})

    @property
    def top(self) -> int:
        """The coarsest level, which is also the number of halvings."""
        return len(self.channels) - 1

    @property
    def embedding_dim(self) -> int:
        """E, the width of the time embedding."""
        return 4 * self.channels[0]

    @property
    def places(self) -> tuple[Place, ...]:
        """Every place with attention, in the order in which a frame goes through them."""
        c, top, down, up = self.channels, self.top, self.layers_per_block, self.layers_per_block + 1
        made = []
        for level in range(top):
            before = c[max(level - 1, 0)]
            for k in range(down):
                wide = before if k == 0 else c[level]
                made.append(_place(f"down_blocks.{level}", k, level, k, c[level], wide))
        made.append(_place("mid_block", 0, top, 0, c[top], c[top]))
        for block in range(1, top + 1):
            level = top - block
            finer = c[max(level - 1, 0)]
            for k in range(up):
                made.append(_place(f"up_blocks.{block}", k, level, down + k, c[level], finer))
        return tuple(made)

    @property
    def banks(self) -> tuple[tuple[Place, ...], ...]:
        """The places of every bank, in the order in which they are stacked."""
        sorted_places = sorted(self.places, key=lambda place: (place.bank, place.index))
        return tuple(tuple(p for p in sorted_places if p.bank == bank) for bank in range(self.top + 1))

    def cells(self, latent: tuple[int, int], bank: int) -> int:
        """L of a bank, for latents of (h, w) cells."""
        return (latent[0] >> bank) * (latent[1] >> bank)


def _place(block: str, layer: int, bank: int, index: int, channels: int, audio_channels: int) -> Place:
    return Place(block=block, layer=layer, bank=bank, index=index, channels=channels, audio_channels=audio_channels)


@dataclass(frozen=True, kw_only=True)
class SpeechConfig:
    """Of the speech encoder, wav2vec 2.0; as the golden vectors' `config` names them."""

    hidden: int = 768
    layers: int = 12
    heads: int = 12
    mlp: int = 3072
    conv_dim: int = 512
    pos_kernel: int = 128
    pos_groups: int = 16


@dataclass(frozen=True, kw_only=True)
class AudioTokensConfig:
    """Of the audio projection: per frame, features of `window` frames become `tokens` tokens of `width`."""

    window: int = 5
    layers: int = 12
    channels: int = 768
    hidden: int = 512
    width: int = 768
    tokens: int = 32


@dataclass(frozen=True, kw_only=True)
class FaceTokensConfig:
    """Of the image projection: the face's embedding becomes `tokens` tokens of `width`."""

    embedding: int = 512
    tokens: int = 4
    width: int = 768


@dataclass(frozen=True, kw_only=True)
class FaceLocatorConfig:
    """Of the face locator: `out_channels` is the UNet's finest level."""

    out_channels: int = 320
    block_out_channels: tuple[int, ...] = (16, 32, 64, 128)
