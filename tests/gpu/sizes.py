"""What is measured: sizes, graphs, parts. No torch: the command and the families' parts load none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.hunyuanportrait.sampling import Sampling

# The most valuable first, but what takes a network in float32 before what halves it.
OF_A_CLIP = ("step_embedding", "denoiser", "stitch", "vae_decoder")
OF_LIVE = ("step_embedding", "live_denoiser", "live_stitch", "vae_decoder")
GRAPHS = (*OF_A_CLIP[:3], "vae_encoder", "vae_decoder", "live_denoiser", "live_stitch", "motion", "appearance")
TIMED = {"denoiser": "step", "vae_decoder": "decode"}  # graph -> its line
PARTS = (
    "facts",
    "stand_in",
    "coders",
    "torch",
    "micro",
    "verdict",
    "artefacts",
    "build",
    "levers",
    "rows",
    "family",
    "talk",
)
LEFT_CORES = 4  # for what is measured: launching kernels takes one, libraries' own threads some


def aside_cores() -> list[int]:
    """The cores for what runs beside measurements: all but `LEFT_CORES` of ours, and one at least."""
    ours = sorted(os.sched_getaffinity(0))
    return ours[min(LEFT_CORES, len(ours) - 1) :]


@dataclass(frozen=True, kw_only=True)
class Size:
    """A preset at some pixels and frames, and the synthetic clip that is measured with it."""

    name: str
    preset: str
    px: int
    frames: int  # F, the window
    clip_frames: int  # N
    sampling: Sampling  # of the clip


SIZES: Mapping[str, Size] = {
    size.name: size
    for size in (
        Size(name="full", preset="hunyuanportrait", px=512, frames=25, clip_frames=50, sampling=Sampling(steps=8)),
        Size(
            name="pocket", preset="pocket", px=128, frames=25, clip_frames=50, sampling=Sampling(steps=8, pad_frames=5)
        ),
        # For trying the check itself: seconds on two CPU cores.
        Size(
            name="mini",
            preset="pocket",
            px=64,
            frames=3,
            clip_frames=5,
            sampling=Sampling(steps=2, window=3, overlap=1, shift=1, pad_frames=1, decode_chunk=2),
        ),
    )
}
