"""The graphs of live mode, which a bundle may have beside the seven of `export/hunyuanportrait/graphs.py`.

Live windows are causal and as long as the wait for them may be, so here the window is a size known at run time; and
one window is all there is to stitch. The UNet is one distilled to few steps where there is one, else the bundle's own.

Letters: R rows, F frames of a window, f frames of a chunk; h, w latent cells.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from torch import Tensor, nn

from export.graphs.graph import Graph, Networks, spec, tensor
from export.graphs.pixels import WithPixels, decoder_outputs
from export.hunyuanportrait.architecture import LIVE_NETWORKS, Architecture
from export.hunyuanportrait.graphs import Denoiser, black_pose_features, denoiser_inputs, sides
from export.hunyuanportrait.networks.tiny_decoder import CONTEXT, TinyDecoder
from runtime.hunyuanportrait.presets import HALF

USUAL_WINDOW = 8  # frames: a third of a second at 25 a second


class LiveStitch(nn.Module):
    """X' = a X + b M V of one window: (F, 4, h, w) both, M (F, F)."""

    def forward(self, latents: Tensor, velocities: Tensor, matrix: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return a * latents + b * (matrix @ velocities.flatten(1)).reshape(latents.shape)


class TinyFrames(nn.Module):
    """Scaled latents, as the loop holds them, to frames, not clamped."""

    def __init__(self, decoder: TinyDecoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, latents: Tensor) -> Tensor:
        return self.decoder(latents.to(self.decoder.conv_in.weight.dtype)).float()


def live_graphs(
    architecture: Architecture,
    *,
    size: int | tuple[int, int],
    frames: int,
    half: bool = False,
    networks: Collection[str] = LIVE_NETWORKS,
) -> dict[str, Graph]:
    """The graphs of live mode. `size`: pixels of a side, or (height, width). `frames`: of the longest window.

    `networks`: which of LIVE_NETWORKS there are. Without "live_unet" the denoiser is of the bundle's own UNet, without
    "tiny_decoder" there is no such graph.
    """
    pixels, latent = sides(architecture, size)
    channels = architecture.vae.latent_channels
    unet = "live_unet" if "live_unet" in networks else "unet"
    window = (1, min(USUAL_WINDOW, frames), frames) if frames > 1 else (1, 2, 2)
    longest = window[2] + CONTEXT

    def make_denoiser(networks: Networks) -> nn.Module:
        return Denoiser(networks(unet), stem_bias=black_pose_features(networks("pose_guider"), pixels))

    graphs = [
        Graph(
            spec=spec(
                "live_denoiser",
                [
                    *denoiser_inputs(architecture, latent, frames="frames", half=half),
                    tensor("row_weights", "rows"),
                ],
                [tensor("velocity", "frames", channels, *latent)],
                unit="rows",
                repeated=True,
                rows=(1, 1, 3),
                frames=window,
            ),
            networks=(unet, "pose_guider"),
            make=make_denoiser,
            uneven=("frames",),
        ),
        Graph(
            spec=spec(
                "live_stitch",
                [
                    tensor("latents", "frames", channels, *latent),
                    tensor("velocities", "frames", channels, *latent),
                    tensor("matrix", "frames", "frames"),
                    tensor("a", 1),
                    tensor("b", 1),
                ],
                [tensor("next_latents", "frames", channels, *latent)],
                frames=window,
            ),
            networks=(),
            make=lambda networks: LiveStitch(),
            uneven=("frames",),
        ),
    ]
    if "tiny_decoder" in networks:
        graphs.append(
            Graph(
                spec=spec(
                    "tiny_decoder",
                    [tensor("latents", "chunk", channels, *latent)],
                    decoder_outputs(pixels),
                    unit="chunk",
                    lane="decode",
                    repeated=True,
                    context=CONTEXT,
                    chunk=(1, min(USUAL_WINDOW, longest), longest),
                ),
                networks=("tiny_decoder",),
                make=lambda networks: WithPixels(TinyFrames(networks("tiny_decoder"))),
            )
        )
    return {g.name: replace(g, half=half and g.name in HALF) for g in graphs}
