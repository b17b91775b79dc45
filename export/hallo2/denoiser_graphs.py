"""The graphs of the two UNets: what each takes, gives and computes, between the networks and the exporter.

Latents, masks, time and velocities are float32; tokens, banks, keys, values and motion features live in the bundle's
precision, because there are many of them. In fp16 the graphs named in `HALF` (`runtime/hallo2/presets.py`) compute in
half. `bank_kv` and `talk_denoiser_one` have no weights but those of `talk_denoiser`, which stands before them.

Letters: F frames of a clip, m motion frames, h, w latent cells, i = 0..N-1 a bank, which also is the level of its
masks; n_i places, L_i cells, C_i channels; k audio and n image tokens, D, Da their widths; E of the time embedding.
Source: SPEC 0, 3, 4 and 10; docs/graphs.md has the tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from engines.spec import TensorSpec
from export.blocks import frequencies
from export.graphs.graph import Graph, spec, tensor
from export.hallo2.networks.config import UNetConfig
from export.hallo2.networks.denoising_unet import Conditions, DenoisingUNet
from export.hallo2.networks.folding import Matrix
from export.hallo2.networks.reference_unet import ReferenceUNet
from runtime.hallo2.presets import HALF


class ReferenceBanks(nn.Module):
    """Banks of any rows: latents (N, 4, h, w), scaled, and tokens (N, n, D) to bank i (n_i, N, L_i, C_i)."""

    def __init__(self, unet: ReferenceUNet):
        super().__init__()
        self.unet = unet

    def forward(self, latents: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        return self.unet(latents.to(self.unet.conv_in.weight.dtype), tokens)


class BankKV(nn.Module):
    """Keys and values of the references: bank i (n_i, 2, L_i, C_i) to two of the same shape. Order of the bundle's
    promise: the keys of all banks, then the values."""

    def __init__(self, unet: DenoisingUNet):
        super().__init__()

        def matrices(name: str) -> nn.ModuleList:
            attentions = (
                [unet.get_submodule(f"{p.name}.transformer_blocks.0.attn1.{name}") for p in places]
                for places in unet.config.banks
            )
            made = ([Matrix.of(m) for m in linears if isinstance(m, nn.Linear)] for linears in attentions)
            return nn.ModuleList(nn.ModuleList(bank) for bank in made)

        self.to_k, self.to_v = matrices("to_k"), matrices("to_v")

    def forward(self, *banks: Tensor) -> tuple[Tensor, ...]:
        made = []
        for by_bank in (self.to_k, self.to_v):
            for bank, projections in zip(banks, by_bank, strict=True):
                each: Any = projections  # a ModuleList
                parts = zip(bank.split(1), each, strict=True)
                made.append(torch.cat([project(part) for part, project in parts]))
        return tuple(made)


class Steps(nn.Module):
    """The time embeddings of a whole schedule: (steps) to (steps, E), before the SiLU that every block begins with.

    Frequencies are a constant of the graph: a last bit of theirs, which exp has another of on every runtime, is 6e-5 of
    an angle of 999.
    """

    frequencies: Tensor

    def __init__(self, unet: DenoisingUNet):
        super().__init__()
        self.time_embedding = unet.time_embedding
        self.register_buffer("frequencies", frequencies(unet.config.channels[0]))

    def forward(self, timesteps: Tensor) -> Tensor:
        angles = timesteps[:, None] * self.frequencies[None]
        return self.time_embedding(torch.cat([angles.cos(), angles.sin()], dim=-1))


class Denoiser(nn.Module):
    """One clip's velocity, of both halves or of the conditional one alone; inputs as the graph's promise lists them.

    v = w_0 v_u + w_1 v_c, accumulated in float32.
    """

    def __init__(self, unet: DenoisingUNet, *, both: bool):
        super().__init__()
        self.unet, self.both = unet, both

    def forward(
        self,
        latents: Tensor,
        step_embedding: Tensor,
        image_tokens: Tensor,
        audio_tokens: Tensor,
        face_features: Tensor,
        *rest: Tensor,
    ) -> Tensor:
        dtype, banks = self.unet.conv_in.weight.dtype, self.unet.config.top + 1
        masks, keys, values, motion = (rest[i * banks : (i + 1) * banks] for i in range(4))
        scale, *last = rest[4 * banks :]
        tokens = image_tokens if self.both else image_tokens[1:]
        if self.unet.config.moods:
            tokens = self.unet.with_mood(tokens, last.pop(0).to(dtype))
        conditions = Conditions(
            image_tokens=tokens,
            audio_tokens=audio_tokens,
            face_features=face_features.to(dtype),
            masks=[mask.to(dtype) for mask in masks],
            keys=keys,
            values=values,
            motion=motion,
            motion_scale=scale.to(dtype),
        )
        v = self.unet(latents.to(dtype), step_embedding.to(dtype), conditions).float()
        if not self.both:
            return v
        return (last[0][None] @ v.reshape(2, -1)).reshape(latents.shape)


def denoiser_graphs(
    reference_config: UNetConfig,
    denoising_config: UNetConfig,
    *,
    latent: tuple[int, int],
    frames: int,
    motion_frames: int,
    audio_tokens: int,
    image_tokens: int,
    half: bool = False,
) -> dict[str, Graph]:
    """The graphs of the two UNets, by name. `latent`: (h, w) cells; `audio_tokens` a frame, `image_tokens` a half.

    Raises ValueError for cells that the UNets cannot halve, and for more frames than there are positions for.
    """
    config, token = denoising_config, "float16" if half else "float32"
    _check(config, latent, frames, motion_frames)
    images = image_tokens, config.image_token_dim
    portrait_banks = list(_banks(config, latent, "bank", 2, token))
    moods = ["mood"] if config.moods else []

    def denoiser(name: str, *, both: bool) -> Graph:
        rows = 2 * motion_frames if both else motion_frames
        return Graph(
            spec=spec(
                name,
                [
                    tensor("latents", frames, config.latent_channels, *latent),
                    tensor("step_embedding", 1, config.embedding_dim),
                    tensor("image_tokens", 2, *images, dtype=token),
                    tensor("audio_tokens", frames, audio_tokens, config.audio_token_dim, dtype=token),
                    tensor("face_features", config.channels[0], *latent),
                    *(tensor(f"mask_{i}", 3, config.cells(latent, i)) for i in range(config.top + 1)),
                    *_banks(config, latent, "key", 2, token),
                    *_banks(config, latent, "value", 2, token),
                    *_banks(config, latent, "motion", rows, token),
                    tensor("motion_scale", 3),
                    *(tensor(name, 1, config.moods) for name in moods),
                    *([tensor("row_weights", 2)] if both else []),
                ],
                [tensor("velocity", frames, config.latent_channels, *latent)],
                repeated=True,
            ),
            networks=("denoising_unet",),
            make=lambda networks: Denoiser(networks("denoising_unet").folded(), both=both),
            ranges_of_input=dict.fromkeys((*(f"mask_{i}" for i in range(config.top + 1)), *moods), (0, 1)),
            shares="" if both else "talk_denoiser",
        )

    graphs = (
        Graph(
            spec=spec(
                "reference",
                [
                    tensor("latents", "rows", config.latent_channels, *latent),
                    tensor("tokens", "rows", *images, dtype=token),
                ],
                list(_banks(reference_config, latent, "bank", "rows", token)),
                unit="rows",
                rows=(1, min(4, 2 * (1 + motion_frames)), 2 * (1 + motion_frames)),
            ),
            networks=("reference_unet",),
            make=lambda networks: ReferenceBanks(networks("reference_unet").folded()),
        ),
        Graph(
            spec=spec(
                "talk_steps",
                [tensor("timesteps", "steps")],
                [tensor("embeddings", "steps", config.embedding_dim)],
                unit="steps",
                steps=(1, 40, 1000),
            ),
            networks=("denoising_unet",),
            make=lambda networks: Steps(networks("denoising_unet")),
            ranges_of_input={"timesteps": (0, 999)},
        ),
        denoiser("talk_denoiser", both=True),
        denoiser("talk_denoiser_one", both=False),
        Graph(
            spec=spec(
                "bank_kv",
                portrait_banks,
                [*_banks(config, latent, "key", 2, token), *_banks(config, latent, "value", 2, token)],
            ),
            networks=("denoising_unet",),
            make=lambda networks: BankKV(networks("denoising_unet")),
            shares="talk_denoiser",
        ),
    )
    return {g.name: replace(g, half=half and g.name in HALF) for g in graphs}


def _banks(config: UNetConfig, latent: tuple[int, int], name: str, rows: int | str, dtype: str) -> Iterator[TensorSpec]:
    """One tensor a bank, (n_i, rows, L_i, C_i)."""
    for i, places in enumerate(config.banks):
        yield tensor(f"{name}_{i}", len(places), rows, config.cells(latent, i), places[0].channels, dtype=dtype)


def _check(config: UNetConfig, latent: tuple[int, int], frames: int, motion_frames: int) -> None:
    if any(side < 1 or side % (1 << config.top) for side in latent):
        raise ValueError(
            f"latents of {latent[0]} x {latent[1]} cells: the UNets halve them {config.top} times; "
            f"choose a size that gives a multiple of {1 << config.top}"
        )
    if motion_frames + frames > config.motion_positions or min(frames, motion_frames) < 1:
        raise ValueError(
            f"{motion_frames} motion frames before {frames} of a clip: motion modules need at least one of each and "
            f"have {config.motion_positions} positions for them together; choose fewer frames"
        )
