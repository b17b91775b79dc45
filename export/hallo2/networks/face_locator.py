"""Face locator: where the face is, as features that are added after the denoising UNet's first convolution.

The released program shows it the same picture for every frame of a clip: once is enough.

Source: SPEC 1.
"""

from __future__ import annotations

from export.blocks import HalvingConvolutions
from export.hallo2.networks.config import FaceLocatorConfig


class FaceLocator(HalvingConvolutions):
    """Face region (..., 3, H, W) in [0, 1] -> features (..., C0, h, w), each picture by itself; no activation behind.

    h and w are H/8 and W/8 with the published four widths: every width but the first halves the sides.
    """

    def __init__(self, config: FaceLocatorConfig | None = None) -> None:
        config = config or FaceLocatorConfig()
        super().__init__(out_channels=config.out_channels, block_out_channels=config.block_out_channels)
