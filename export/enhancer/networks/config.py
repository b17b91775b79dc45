"""Constructor facts of the enhancer's networks; the defaults are the published ones, the keys depend on them alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class UpscalerConfig:
    """Of the RRDB network: channels of the trunk, its blocks, and channels that each dense layer adds."""

    features: int = 64
    blocks: int = 23
    growth: int = 32


@dataclass(frozen=True, kw_only=True)
class RestorerConfig:
    """Of CodeFormer with time. `channels` run from the finest level to the coarsest, each half as wide as the one
    before; the coarsest has the codes' cells."""

    channels: tuple[int, ...] = (64, 128, 128, 256, 256, 512)
    blocks_per_level: int = 2
    attention_side: int = 16  # cells along a side, of the codes and of the level whose blocks attention follows
    latent: int = 256  # width of a code
    codebook: int = 1024
    layers: int = 9
    width: int = 512  # of the transformer
    heads: int = 8
    mlp: int = 1024
    fusion: tuple[int, ...] = (32, 64, 128, 256)  # sides of the levels where the encoder's features are fused in
    groups: int = 32  # of every group norm

    @property
    def side(self) -> int:
        """Pixels along a side of a face."""
        return self.attention_side << (len(self.channels) - 1)


@dataclass(frozen=True, kw_only=True)
class ParserConfig:
    """Of ParseNet: `channels` run from the finest level to the coarsest."""

    channels: tuple[int, ...] = (64, 128, 256, 256, 256)
    blocks: int = 10  # of the body, at the coarsest level
    classes: int = 19


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """Of RetinaFace: blocks of the ResNet's four layers, channels of its stem, width of the pyramid."""

    layers: tuple[int, int, int, int] = (3, 4, 6, 3)
    stem: int = 64
    width: int = 256
