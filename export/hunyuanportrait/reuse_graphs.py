"""The denoiser cut in two, for steps that take the deep features of a step before them again.

What the UNet's coarse levels make changes little from one noise level to the next. So `denoiser_inner` makes what the
last layer is given, and `denoiser_outer` goes from there to the velocity: with fresh deep features the two are the
denoiser, to rounding, and with those of a step before the outer one alone is a step: 7 % of the work at full size. Both
hold weights of the denoiser and nothing else; on disk they are those of its file (`export/graphs/shared_weights.py`).
Windows are of any length, for clips and for live mode.

Letters: R rows, F frames of a window; h, w latent cells.
Source of the idea and of the cut: Ma et al. 2023, "DeepCache".
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from export.graphs.graph import Graph, Networks, spec, tensor
from export.hunyuanportrait.architecture import Architecture
from export.hunyuanportrait.graphs import black_pose_features, denoiser_inputs, guided, rows_of_samples, sides
from export.hunyuanportrait.networks.unet import Context, UNet
from runtime.hunyuanportrait.presets import HALF


class _Part(nn.Module):
    """A part of the denoiser, and the pose features of the black picture for its first convolution."""

    def __init__(self, unet: UNet, *, stem_bias: Tensor):
        super().__init__()
        self.unet = unet
        self.register_buffer("stem_bias", stem_bias)

    def seen(self, latents: Tensor, c_in: Tensor, step_embedding: Tensor, image_latents: Tensor) -> tuple:
        dtype = self.unet.conv_in.weight.dtype
        sample = rows_of_samples(latents, c_in, image_latents).to(dtype)
        return sample, step_embedding.to(dtype), self.stem_bias.to(dtype)


class InnerDenoiser(_Part):
    """Input scaling, guidance rows and all of the UNet but its last layer: deep features, frames first."""

    def forward(
        self,
        latents: Tensor,
        c_in: Tensor,
        step_embedding: Tensor,
        image_latents: Tensor,
        image_tokens: Tensor,
        motion_tokens: Tensor,
    ) -> Tensor:
        sample, embedding, bias = self.seen(latents, c_in, step_embedding, image_latents)
        rows, frames = image_latents.shape[0], latents.shape[0]
        deep = self.unet.inner(sample, embedding, Context(image_tokens, motion_tokens), frames, bias)
        return deep.reshape(rows, frames, *deep.shape[1:]).transpose(0, 1)


class OuterDenoiser(_Part):
    """The first convolution, the last layer and guidance: one window's guided velocity."""

    def forward(
        self,
        latents: Tensor,
        c_in: Tensor,
        step_embedding: Tensor,
        image_latents: Tensor,
        image_tokens: Tensor,
        motion_tokens: Tensor,
        row_weights: Tensor,
        deep_features: Tensor,
    ) -> Tensor:
        sample, embedding, bias = self.seen(latents, c_in, step_embedding, image_latents)
        frames = latents.shape[0]
        deep = deep_features.transpose(0, 1).flatten(0, 1)
        v = self.unet.outer(sample, deep, embedding, Context(image_tokens, motion_tokens), frames, bias)
        return guided(v, row_weights, frames)


def reuse_graphs(
    architecture: Architecture, *, size: int | tuple[int, int], frames: int, half: bool = False
) -> dict[str, Graph]:
    """The two graphs. `size`: pixels of a side, or (height, width). `frames`: of the longest window."""
    pixels, latent = sides(architecture, size)
    common = denoiser_inputs(architecture, latent, frames="frames", half=half)
    token = "float16" if half else "float32"
    deep = tensor("deep_features", "frames", "rows", architecture.unet.block_out_channels[0], *latent, dtype=token)
    velocity = tensor("velocity", "frames", architecture.vae.latent_channels, *latent)

    def made(part: type[_Part]):
        def make(networks: Networks) -> nn.Module:
            return part(networks("unet"), stem_bias=black_pose_features(networks("pose_guider"), pixels))

        return make

    parts = (
        ("denoiser_inner", common, deep, InnerDenoiser),
        ("denoiser_outer", [*common, tensor("row_weights", "rows"), deep], velocity, OuterDenoiser),
    )
    window = (1, frames, frames) if frames > 1 else (1, 2, 2)
    graphs = [
        Graph(
            spec=spec(name, inputs, [output], unit="rows", repeated=True, rows=(1, 2, 3), frames=window),
            networks=("unet", "pose_guider"),
            make=made(part),
            uneven=("frames",),
            shares="denoiser",
        )
        for name, inputs, output, part in parts
    ]
    return {g.name: replace(g, half=half and g.name in HALF) for g in graphs}
