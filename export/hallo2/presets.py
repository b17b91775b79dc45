"""The two presets we build bundles for.

`hallo2` is the published one. `talk_pocket` is the same networks with the same state-dict keys, as narrow as CPUs can
train. Depth is as published: every level, layer, place with attention, and motion module. Widths are not:

| network | parameters of `talk_pocket` | what is narrow |
|---|---|---|
| `reference_unet` | 2 051 296 | levels 64, 32, 32, 32, one head, norms of 8 groups, image tokens of 64 |
| `denoising_unet` | 4 382 692, 116 000 of them never run | the same, one head over time, audio and mood tokens of 64 |
| `face_locator` | 76 720 | 16, 16, 32, 64 channels to 64 |
| `imageproj` | 131 456 | 4 tokens of 64 |
| `audioproj` | 119 552 | hidden 64, 8 tokens of 64 |
| `vae` | 1 067 079 | levels 32, 32, 32, 64, norms of 4 groups |
| `speech_encoder` | 237 536 | hidden 64, 4 layers, 1 head, inner 128, convolutions of 64, positions 32 wide, 4 groups |

8 066 331 in all. What both are used at is in `runtime/hallo2/presets.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from export.blocks import VAEConfig
from export.hallo2.architecture import Architecture
from export.hallo2.networks.config import (
    AudioTokensConfig,
    FaceLocatorConfig,
    FaceTokensConfig,
    SpeechConfig,
    UNetConfig,
)
from runtime.hallo2 import presets as facts


@dataclass(frozen=True, kw_only=True)
class Preset:
    """An architecture with the sizes and the sampling it is used at."""

    name: str
    architecture: Architecture
    size: int  # pixels along a side of the picture and of the result
    frames: int  # F, of a clip
    motion_frames: int  # m
    sampling: Mapping[str, Any] = field(default_factory=dict)  # where it differs from the released defaults


def _preset(name: str, architecture: Architecture) -> Preset:
    used = facts.PRESETS[name]
    return Preset(
        name=name,
        architecture=architecture,
        size=used.size,
        frames=used.clip,
        motion_frames=used.motion_frames,
        sampling=used.sampling,
    )


HALLO2 = _preset("hallo2", Architecture())

_POCKET_UNET = UNetConfig(
    channels=(64, 32, 32, 32), heads=1, image_token_dim=64, audio_token_dim=64, groups=8, motion_heads=1
)
TALK_POCKET = _preset(
    "talk_pocket",
    Architecture(
        reference_unet=_POCKET_UNET,
        denoising_unet=replace(_POCKET_UNET, moods=len(facts.MOODS)),
        face_locator=FaceLocatorConfig(out_channels=64, block_out_channels=(16, 16, 32, 64)),
        imageproj=FaceTokensConfig(width=64),
        audioproj=AudioTokensConfig(layers=4, channels=64, hidden=64, width=64, tokens=8),
        vae=VAEConfig(block_out_channels=(32, 32, 32, 64), norm_groups=4),
        speech_encoder=SpeechConfig(hidden=64, layers=4, heads=1, mlp=128, conv_dim=64, pos_kernel=32, pos_groups=4),
    ),
)

PRESETS: dict[str, Preset] = {p.name: p for p in (HALLO2, TALK_POCKET)}
