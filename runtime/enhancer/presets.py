"""What is known of the enhancer's presets before anything is built, for plans as for exports.

Of what has been built its bundle knows more: which graphs there are, and the sizes that each of them takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MODEL = "enhancer"  # as a bundle's manifest names the rooms that know its graphs

# What computes in half in a bundle in fp16. The restorer chooses the nearest of 1024 codes, and half precision chooses
# others; the detector's boxes are known to a fraction of a pixel.
HALF = frozenset({"enhance_upscaler", "enhance_parser"})

FACE_PX = 512  # along a side of a face that is restored
WINDOW = 16  # frames that are restored together, at most
SCALE = 2  # of the upscaler


@dataclass(frozen=True, kw_only=True)
class PresetFacts:
    """What a preset is used at."""

    size: int = FACE_PX
    frames: int = WINDOW


PRESETS: Mapping[str, PresetFacts] = {
    "enhancer": PresetFacts(),
    "enhancer_pocket": PresetFacts(),  # the upscaler alone
    "enhancer_tiny": PresetFacts(),  # every graph with its interface, narrow: for tests
}
