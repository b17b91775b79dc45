"""What is known of the two presets before anything is built, for plans as for exports.

Of what has been built its bundle knows more: sizes and sampling are in the manifest, precision and context in each
graph's record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MODEL = "hunyuanportrait"  # as a bundle's manifest names the rooms that know its graphs

# What computes in half in a bundle in fp16. Upstream runs the encoder and the three motion networks in fp32 too: head
# angles are degrees up to 180, where half steps by 1/16, and all four together are under 0.2 % of a clip's work.
# Embedding and stitch are negligible.
HALF = frozenset(
    {"appearance", "denoiser", "vae_decoder", "live_denoiser", "tiny_decoder", "denoiser_inner", "denoiser_outer"}
)

CONTEXT: Mapping[str, int] = {"vae_decoder": 0, "tiny_decoder": 2}  # by decoder: frames that it looks back over


@dataclass(frozen=True, kw_only=True)
class PresetFacts:
    """What a preset is used at."""

    size: int  # pixels along a side of the crop and of the result
    window: int  # F, frames denoised together
    sampling: Mapping[str, Any] = field(default_factory=dict)  # where it differs from the released defaults


PRESETS: Mapping[str, PresetFacts] = {
    "hunyuanportrait": PresetFacts(size=512, window=25),
    # Three steps and no guidance follow the driver best: more steps add the noise's own variance, and scales above one
    # exaggerate (docs/quality.md). Shorter ramps: two CPU cores are to be done with a usual clip in seconds.
    "pocket": PresetFacts(
        size=128,
        window=25,
        sampling={
            "steps": 3,
            "guidance_appearance": (1.0, 1.0),
            "guidance_motion": (1.0, 1.0),
            "pad_frames": 5,
        },
    ),
}
