"""The graphs of a bundle, in the order in which they are built: what each takes, gives and computes, between the
networks and the exporter.

In fp16 the graphs named in `HALF` (`runtime/hallo2/presets.py`) compute in half; the others are small, or run once a
video or once a clip. Letters as in `export/hallo2/condition_graphs.py`.
"""

from __future__ import annotations

from dataclasses import replace

from export.graphs.graph import Graph
from export.graphs.stitch import stitch_graph
from export.hallo2.architecture import Architecture
from export.hallo2.condition_graphs import condition_graphs
from export.hallo2.denoiser_graphs import denoiser_graphs
from runtime.hallo2.presets import HALF

ORDER = (
    "speech_encoder",
    "audio_tokens",
    "talk_identity",
    "talk_vae_encoder",
    "reference",
    "talk_denoiser",
    "bank_kv",  # its weights, and those of the next one, are the denoiser's
    "talk_denoiser_one",
    "talk_steps",
    "stitch",
    "talk_vae_decoder",
)


def sides(architecture: Architecture, size: int | tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """(H, W) and (h, w) of `size`: pixels of a side, or (height, width). ValueError for a picture that is not square
    (SPEC 0.9), and for a side that the UNets cannot halve."""
    vae, halvings = architecture.vae, architecture.denoising_unet.top
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise ValueError(
            f"size {width}x{height} is not square, and this model knows square pictures alone; give a side"
        )
    step = vae.downscale << halvings
    if height < 1 or height % step:
        raise ValueError(
            f"size {height} gives latents of {height / vae.downscale:g} cells; the UNets halve them "
            f"{halvings} times: choose a multiple of {step}"
        )
    return (height, width), (height // vae.downscale, width // vae.downscale)


def bundle_graphs(
    architecture: Architecture, *, size: int | tuple[int, int], frames: int, motion_frames: int, half: bool = False
) -> dict[str, Graph]:
    """Every graph of a bundle by its name, in the order in which they are built. `size`: pixels of a side.

    `frames`: F, `motion_frames`: m. ValueError for a size, or numbers of frames, that the networks cannot take.
    """
    pixels, latent = sides(architecture, size)
    most = architecture.denoising_unet.motion_positions
    if frames < 1 or motion_frames < 1 or motion_frames + frames > most:
        raise ValueError(
            f"a clip of {frames} frames cannot be built; the motion modules know {most} positions and "
            f"{motion_frames} of them are the clip's before: choose 1 to {most - motion_frames} frames (released: 16)"
        )
    graphs = {
        **condition_graphs(
            architecture, pixels=pixels, latent=latent, frames=frames, motion_frames=motion_frames, half=half
        ),
        **denoiser_graphs(
            architecture.reference_unet,
            architecture.denoising_unet,
            latent=latent,
            frames=frames,
            motion_frames=motion_frames,
            audio_tokens=architecture.audioproj.tokens,
            image_tokens=architecture.imageproj.tokens,
            half=half,
        ),
        "stitch": stitch_graph(architecture.vae.latent_channels, latent, frames),  # a clip is one window
    }
    assert graphs.keys() == set(ORDER), "a graph that has no place in the order of a build"
    return {name: replace(graphs[name], half=half and name in HALF) for name in ORDER}
