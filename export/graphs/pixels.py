"""What every decoder's graph gives beside its frames: their pixels, and by which one sees that these are pixels.

The host then fetches a quarter of the bytes and computes nothing. What each output is and how it is used stands in
`runtime/decode.py`, where `to_uint8` is the same formula in numpy.

Its bits are the same whoever computes it: halving is exact, so that even a multiplication and an addition in one, as
GPUs have them, round once; and the last product is cut off, not added to. Pixels change their order in float32, because
TensorRT has bytes as outputs of a cast and nowhere else.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.spec import TensorSpec
from export.graphs.graph import tensor


class WithPixels(nn.Module):
    """A decoder of latents to frames (f, 3, H, W) float32; gives its frames, pixels and sums."""

    def __init__(self, decoder: nn.Module):
        super().__init__()
        self.norms_by_channel = getattr(decoder, "norms_by_channel", False)
        self.decoder = decoder

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        frames = self.decoder(latents)
        # Of a clamp the exporter would make two operations. hardtanh is one, Clip, and the same.
        levels = F.hardtanh(frames * 0.5 + 0.5, 0, 1) * 255
        # Row by row, then the rows: a long sum in float32 loses digits, and this one is compared.
        sums = frames.abs().sum(dim=3).sum(dim=(1, 2))
        return frames, levels.permute(0, 2, 3, 1).to(torch.uint8), sums


def decoder_outputs(size: tuple[int, int]) -> list[TensorSpec]:
    """What a decoder's graph promises. `size`: (H, W)."""
    return [
        tensor("frames", "chunk", 3, *size),
        tensor("pixels", "chunk", *size, 3, dtype="uint8"),
        tensor("sums", "chunk"),
    ]
