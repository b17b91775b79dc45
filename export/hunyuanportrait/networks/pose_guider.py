"""Pose guider: a drawn pose to features that are added after the UNet's first convolution.

The released program shows it a black image for every frame, so its output is one constant map
(not constant in space: the zero padding shows near the borders).

Source: SPEC 3.5.
"""

from __future__ import annotations

from export.blocks import HalvingConvolutions


class PoseGuider(HalvingConvolutions):
    """(..., 3, H, W) in [0, 1] -> (..., out_channels, H/8, W/8) at full size, each image by itself."""
