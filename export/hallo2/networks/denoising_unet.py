"""The denoising net, as the released program really runs it: in training mode, with five motion modules idle.

Both halves are computed side by side, or the conditional one alone: how many there are is read from the image tokens.
They share latents, step and stem; the conditional half alone has face features, a reference and sound.

Letters: R halves (unconditional, conditional), F frames, m motion frames, h, w latent cells, i a bank and its level,
n_i places, L_i cells, C_i channels, k audio and n image tokens, D, Da their widths, E of the time embedding.
Source: SPEC 0 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import CheckpointError
from export.hallo2.networks.config import Place, UNetConfig
from export.hallo2.networks.folding import folded
from export.hallo2.networks.skeleton import Skeleton
from export.hallo2.networks.transformers import (
    AudioTransformer,
    MotionModule,
    PositionTable,
    Reference,
    Sound,
    SpatialTransformer,
    split,
)
from export.weights.random import position_table

HALF_PRECISION = 2.0**-11  # the last bit of a table's numbers, up to 1, where they were stored in half precision


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """All that the net sees besides latents and time, of one dtype."""

    image_tokens: Tensor  # (R, n, D), with the mood's behind them where the net knows moods
    audio_tokens: Tensor  # (F, k, Da), of the conditional half
    face_features: Tensor  # (C_0, h, w), of the conditional half, the same for every frame
    masks: Sequence[Tensor]  # (3, L_i) for each i: full, face, lip
    keys: Sequence[Tensor]  # (n_i, 2, L_i, C_i) for each i, of the two references: what `bank_kv` makes
    values: Sequence[Tensor]  # the same
    motion: Sequence[Tensor]  # (n_i, R*m, L_i, C_i) for each i: the halves' motion frames, one half after the other
    motion_scale: Tensor  # (3): pose, face, lip


class DenoisingUNet(Skeleton):
    """Published keys, with the 2 x 21 position tables; `drop_dead` lets go of what never runs."""

    def __init__(self, config: UNetConfig | None = None):
        config = config or UNetConfig()
        places = config.places

        def beside(block: str, width: int) -> Mapping[str, nn.ModuleList]:
            here = [place for place in places if place.block == block]
            layers = config.layers_per_block + block.startswith("up")
            motion = (
                MotionModule(width, config.motion_heads, config.motion_positions) for _ in range(len(here) or layers)
            )
            if not here:
                return {"motion_modules": nn.ModuleList(motion)}
            tokens, groups = (config.image_token_dim, config.audio_token_dim), config.groups
            spatial = (SpatialTransformer(width, config.heads, tokens[0], groups=groups) for _ in here)
            audio = (AudioTransformer(width, p.audio_channels, config.heads, tokens[1], groups=groups) for p in here)
            return {
                "attentions": nn.ModuleList(spatial),
                "audio_modules": nn.ModuleList(audio),
                "motion_modules": nn.ModuleList(motion),
            }

        super().__init__(config, beside)
        self.conv_norm_out = nn.GroupNorm(config.groups, config.channels[0], eps=1e-5)
        self.conv_out = nn.Conv2d(config.channels[0], config.latent_channels, 3, padding=1)
        if config.moods:
            self.mood_tokens = nn.Parameter(torch.empty(config.moods, config.image_token_dim))

    def with_mood(self, image_tokens: Tensor, mood: Tensor) -> Tensor:
        """Image tokens (R, n, D) and behind them the mood's, (R, n + 1, D): zeros in the unconditional half.

        mood (1, moods): how much there is of each; zeros where it is dropped.
        """
        token = (mood @ self.mood_tokens)[None]
        rows = [token] if image_tokens.shape[0] == 1 else [torch.zeros_like(token), token]
        return torch.cat([image_tokens, torch.cat(rows)], dim=1)

    def forward(self, latents: Tensor, step_embedding: Tensor, conditions: Conditions) -> Tensor:
        """latents (F, 4, h, w), step_embedding (1, E), before its SiLU. Returns v (R*F, 4, h, w), half after half."""
        frames = latents.shape[0]
        halves = conditions.image_tokens.shape[0]
        seen = [self._seen(conditions, bank, frames, halves) for bank in range(self.config.top + 1)]

        def visit(x: Tensor, place: Place, block: Any) -> Tensor:
            _, channels, height, width = x.shape
            here, k = seen[place.bank], place.layer
            cells = x.reshape(-1, channels, height * width)
            reference = here.reference(place, frames)
            cells = block.attentions[k](cells, reference, conditions.image_tokens, frames)
            cells = block.audio_modules[k](cells, here.sound, frames)
            cells = block.motion_modules[k](cells, here.motion[place.index], frames)
            return cells.reshape(-1, channels, height, width)

        stem = self.conv_in(latents)
        with_face = stem + conditions.face_features
        x = torch.cat([stem, with_face]) if halves > 1 else with_face
        x = self.through(x, F.silu(step_embedding), visit)
        return self.conv_out(F.silu(self.conv_norm_out(x)))

    def _seen(self, conditions: Conditions, bank: int, frames: int, halves: int) -> _Seen:
        """What all places of a bank share, in the form they use it in."""
        keys, values, motion = conditions.keys[bank], conditions.values[bank], conditions.motion[bank]
        places, rows, cells, channels = motion.shape
        heads = self.config.heads
        return _Seen(
            keys=split(keys, cells, heads),
            values=split(values, cells, heads),
            motion=motion.transpose(2, 3).reshape(places, halves, rows // halves, channels, cells),
            sound=Sound.of(conditions.audio_tokens, conditions.masks[bank], conditions.motion_scale, heads),
        )

    def drop_dead(self) -> DenoisingUNet:
        """Let go of what the released program never runs, and of the position tables, which a formula gives.

        To be called once weights are loaded; a second call does nothing. Raises CheckpointError when a table of the
        checkpoint is another than the formula's, be it rounded to half precision.
        """
        for name, module in self.named_modules():
            if isinstance(module, PositionTable):
                _check_table(f"{name}.pe", module.pe)
        block: Any  # a Block; a ModuleList does not know what it holds
        for block in (*self.down_blocks, *self.up_blocks):
            if not hasattr(block, "attentions") and hasattr(block, "motion_modules"):
                del block.motion_modules
        for module in self.modules():
            if isinstance(module, PositionTable):
                table = torch.tensor(position_table(module.pe.shape), dtype=module.pe.dtype, device=module.pe.device)
                module.register_buffer("pe", table, persistent=False)
        return self

    def folded(self) -> DenoisingUNet:
        """In its graph's form; its keys are others."""
        net = folded(self)
        del net.time_embedding  # of `talk_steps`
        return net


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the places of one bank see, n of them."""

    keys: Tensor  # (n*2, heads, L, head width)
    values: Tensor  # the same
    motion: Tensor  # (n, R, m, C, L)
    sound: Sound

    def reference(self, place: Place, frames: int) -> Reference:
        """Frame f sees reference (F + f) mod 2 of the pair, whatever half it is in (SPEC 0.2)."""
        rows = torch.tensor([2 * place.index + (frames + f) % 2 for f in range(frames)], device=self.keys.device)
        return Reference(self.keys.index_select(0, rows), self.values.index_select(0, rows))


def _check_table(key: str, table: Tensor) -> None:
    if table.is_meta:  # nothing was loaded
        return
    error = float((table.detach().double().cpu() - torch.from_numpy(position_table(table.shape))).abs().max())
    if not error <= HALF_PRECISION:  # NaN too
        raise CheckpointError(
            f"{key} is off the sinusoids of its positions by {error:.3g}, at most {HALF_PRECISION:.3g} is rounding; "
            "graphs are made with the formula. The file is damaged, or of another model: fetch it again"
        )
