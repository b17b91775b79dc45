"""The graphs of a bundle: what each takes, gives and computes, between the networks and the exporter.

All of them take and give float32, but for the tokens: image and motion tokens live in the bundle's
precision, because the memory bank keeps them for every frame. In fp16 the graphs named in `HALF`
(`runtime/hunyuanportrait/presets.py`) compute in half; the others are the fp32 islands, and why is written there. Those
of live mode, which a bundle may do without, are in `export/hunyuanportrait/live_graphs.py`.

Letters: R rows, F frames of a window, f frames of a chunk, T frames of a clip, W windows; h, w latent cells.
Source: SPEC 15; docs/graphs.md has the tables.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from engines.spec import Dim, TensorSpec
from export.graphs.autoencoder import VaeDecoder, VaeEncoder
from export.graphs.graph import Graph, Networks, spec, tensor
from export.graphs.pixels import WithPixels, decoder_outputs
from export.graphs.stitch import stitch_graph
from export.hunyuanportrait.architecture import Architecture
from export.hunyuanportrait.networks.appearance import FoldedAppearance
from export.hunyuanportrait.networks.motion import Motion
from export.hunyuanportrait.networks.unet import Context, StepEmbedding, UNet
from runtime.hunyuanportrait.presets import HALF

QUANTIZABLE = ("denoiser", "live_denoiser")  # of most of the work, and far from the picture


class Denoiser(nn.Module):
    """Input scaling, guidance rows, UNet and guidance: one window's guided velocity.

    The rows share latents, step and stem; they differ in image latents, image tokens and motion tokens.
    v = sum_r w_r v_r, accumulated in float32. The window is as long as the latents.
    """

    def __init__(self, unet: UNet, *, stem_bias: Tensor | None):
        super().__init__()
        self.unet = unet
        self.register_buffer("stem_bias", stem_bias)

    def forward(
        self,
        latents: Tensor,
        c_in: Tensor,
        step_embedding: Tensor,
        image_latents: Tensor,
        image_tokens: Tensor,
        motion_tokens: Tensor,
        row_weights: Tensor,
        pose_features: Tensor | None = None,
    ) -> Tensor:
        dtype = self.unet.conv_in.weight.dtype
        sample = rows_of_samples(latents, c_in, image_latents).to(dtype)
        stem = self.stem_bias if pose_features is None else pose_features
        context, frames = Context(image_tokens, motion_tokens), latents.shape[0]
        v = self.unet(sample, step_embedding.to(dtype), context, frames, None if stem is None else stem.to(dtype))
        return guided(v, row_weights, frames)


def rows_of_samples(latents: Tensor, c_in: Tensor, image_latents: Tensor) -> Tensor:
    """What the UNet sees, (R*F, 8, h, w): scaled latents (F, 4, h, w) beside each row's image latents (R, 4, h, w)."""
    rows, frames = image_latents.shape[0], latents.shape[0]
    scaled = (latents * c_in)[None].expand(rows, -1, -1, -1, -1)
    conditions = image_latents[:, None].expand(-1, frames, -1, -1, -1)
    return torch.cat([scaled, conditions], dim=2).flatten(0, 1)


def guided(v: Tensor, row_weights: Tensor, frames: int) -> Tensor:
    """(R*F, 4, h, w) and (R,) to sum_r w_r v_r, (F, 4, h, w), in float32."""
    by_row = v.float().reshape(-1, frames, *v.shape[1:])
    return (by_row * row_weights[:, None, None, None, None]).sum(dim=0)


def denoiser_inputs(
    architecture: Architecture, latent: tuple[int, int], *, frames: Dim, half: bool
) -> list[TensorSpec]:
    """What every denoiser sees of a window of `frames`, but for the rows' weights. `latent`: (h, w) cells."""
    unet, channels = architecture.unet, architecture.vae.latent_channels
    token, width = "float16" if half else "float32", unet.cross_attention_dim
    image_count, motion_count = architecture.image_proj["num_queries"], architecture.motion_refiner["num_queries"]
    return [
        tensor("latents", frames, channels, *latent),
        tensor("c_in", 1),
        tensor("step_embedding", 1, unet.embedding_dim),
        tensor("image_latents", "rows", channels, *latent),
        tensor("image_tokens", "rows", image_count, width, dtype=token),
        tensor("motion_tokens", "rows", frames, motion_count, width, dtype=token),
    ]


def sides(architecture: Architecture, size: int | tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """(H, W) and (h, w) of `size`: pixels of a side, or (height, width). ValueError for what the UNet cannot halve."""
    vae, halvings = architecture.vae, len(architecture.unet.block_out_channels) - 1
    height, width = (size, size) if isinstance(size, int) else size
    for side in (height, width):
        if side < 1 or side % (vae.downscale << halvings):
            raise ValueError(
                f"size {side} gives latents of {side / vae.downscale:g} cells; the UNet halves them "
                f"{halvings} times: choose a multiple of {vae.downscale << halvings}"
            )
    return (height, width), (height // vae.downscale, width // vae.downscale)


def bundle_graphs(
    architecture: Architecture,
    *,
    size: int | tuple[int, int],
    frames: int,
    motion_px: int,
    half: bool = False,
    decode_chunk: int = 8,
    pose_input: bool = False,
) -> dict[str, Graph]:
    """Every graph of a bundle, in the order a clip uses them. `size`: pixels of a side, or (height, width).

    `pose_input` leaves the pose features to the caller instead of folding the black image's: for models that
    really draw poses, as the golden loops do.
    """
    unet, vae, refiner = architecture.unet, architecture.vae, architecture.motion_refiner
    channels, width = vae.latent_channels, unet.cross_attention_dim
    pixels, latent = sides(architecture, size)
    image_count, motion_count = architecture.image_proj["num_queries"], refiner["num_queries"]
    appearance_hw = tuple(architecture.appearance["image_hw"])
    embedding = unet.embedding_dim
    token = "float16" if half else "float32"
    token_dtype = torch.float16 if half else torch.float32

    def make_denoiser(networks: Networks) -> nn.Module:
        bias = None if pose_input else black_pose_features(networks("pose_guider"), pixels)
        return Denoiser(networks("unet"), stem_bias=bias)

    stem = unet.block_out_channels[0]
    pose = [tensor("pose_features", frames, stem, *latent)] if pose_input else []
    graphs = (
        Graph(
            spec=spec(
                "appearance",
                [
                    tensor("image", 1, 3, *appearance_hw),
                    tensor("id_embedding", 1, architecture.appearance["id_dim"]),
                ],
                [tensor("image_tokens", 1, image_count, width, dtype=token)],
            ),
            networks=("appearance", "image_proj"),
            make=lambda networks: FoldedAppearance(networks("appearance"), networks("image_proj")),
        ),
        Graph(
            spec=spec(
                "motion",
                [
                    tensor("face_images", "frames", 3, motion_px, motion_px),
                    tensor("pose_images", "frames", 3, motion_px, motion_px),
                    tensor("head_id", 1, dtype="int64"),
                    tensor("exp_id", 1, dtype="int64"),
                ],
                [tensor("motion_tokens", "frames", motion_count, width, dtype=token)],
                unit="frames",
                frames=(1, frames, frames) if frames > 1 else (1, 2, 2),
            ),
            networks=("expression", "motion_refiner", "head_pose"),
            make=lambda networks: Motion(
                expression=networks("expression"),
                motion_refiner=networks("motion_refiner"),
                head_pose=networks("head_pose"),
                token_dtype=token_dtype,
            ),
            ranges_of_input={"face_images": (0, 1), "pose_images": (0, 1), "head_id": (0, 128), "exp_id": (0, 128)},
        ),
        Graph(
            spec=spec(
                "vae_encoder",
                [tensor("image", 1, 3, *pixels)],
                [tensor("mean", 1, channels, *latent)],
            ),
            networks=("vae",),
            make=lambda networks: VaeEncoder(networks("vae")),
            ranges_of_input={"image": (-1, 1)},
        ),
        Graph(
            spec=spec(
                "step_embedding",
                [tensor("timesteps", "steps"), tensor("added_time_ids", 3)],
                [tensor("embeddings", "steps", embedding)],
                unit="steps",
                steps=(1, 25, 1000),
            ),
            networks=("unet",),
            make=lambda networks: StepEmbedding(networks("unet")),
        ),
        Graph(
            spec=spec(
                "denoiser",
                [
                    *denoiser_inputs(architecture, latent, frames=frames, half=half),
                    tensor("row_weights", "rows"),
                    *pose,
                ],
                [tensor("velocity", frames, channels, *latent)],
                unit="rows",
                repeated=True,
                rows=(1, 2, 3),
            ),
            networks=("unet",) if pose_input else ("unet", "pose_guider"),
            make=make_denoiser,
        ),
        stitch_graph(channels, latent, frames),
        Graph(
            spec=spec(
                "vae_decoder",
                [tensor("latents", "chunk", channels, *latent)],
                decoder_outputs(pixels),
                unit="chunk",
                lane="decode",
                repeated=True,
                chunk=(1, max(decode_chunk, 2), max(decode_chunk, 2)),
            ),
            networks=("vae",),
            # Pocket's on two threads of ONNX Runtime: 159 ms a call; 177 the other way, where norms are one thread's
            # work. On OpenVINO 224 and 402. The denoisers' pictures are small, and gain nothing: 175 and 168 ms.
            make=lambda networks: WithPixels(VaeDecoder(networks("vae"), norms_by_channel=True)),
        ),
    )
    return {g.name: replace(g, half=half and g.name in HALF) for g in graphs}


def black_pose_features(pose_guider: nn.Module, size: tuple[int, int]) -> Tensor:
    """The released program shows the pose guider a black picture for every frame: (C, h, w), once. `size` (H, W)."""
    with torch.no_grad():
        return pose_guider(torch.zeros(1, 1, 3, *size))[0, 0]
