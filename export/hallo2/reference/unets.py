"""Both UNets as released: diffusers' 2D UNet for the reference, and the denoising net that reads its features.

The released program runs the denoising net in training mode. Dropout is 0, so that only changes the way through it:
motion frames are put in front of the clip's, `motion_scale` counts, and the blocks without attention have motion
modules that never run. Here that way is written down; `train()` and `eval()` make no difference.

Source: SPEC 0.1 to 0.4, 2, 3, 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.models import UNet2DConditionModel
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn

from export.hallo2.networks.config import Place, UNetConfig
from export.hallo2.reference.transformers import AudioTransformer, MotionModule, SpatialTransformer, fold, unfold

RESIDUAL_EPS = 1e-5
MASKS = ("full", "face", "lip")


def build_reference_unet(config: UNetConfig) -> UNet2DConditionModel:
    """diffusers' UNet of Stable Diffusion 1.5 without its end, as the published weights have it."""
    top = config.top
    unet = UNet2DConditionModel(
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        down_block_types=("CrossAttnDownBlock2D",) * top + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * top,
        block_out_channels=config.channels,
        layers_per_block=config.layers_per_block,
        norm_num_groups=config.groups,
        norm_eps=RESIDUAL_EPS,
        cross_attention_dim=config.image_token_dim,
        attention_head_dim=config.heads,  # diffusers' old name for the number of heads
    )
    unet.conv_norm_out = None
    unet.conv_out = nn.Identity()
    return unet


def reference_banks(
    unet: UNet2DConditionModel, config: UNetConfig, latents: torch.Tensor, image_tokens: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Every place's `norm1` output by the place's name, (rows, L, C).

    latents (2(1+m), 4, h, w): [reference, motion frames] twice; image_tokens (2, n, D). Row r sees token set r mod 2,
    whichever half it stands in.
    """
    banks: dict[str, torch.Tensor] = {}

    def keep(name: str, output: torch.Tensor) -> None:
        banks[name] = output

    hooks = []
    for place in config.places:
        norm = unet.get_submodule(place.name + ".transformer_blocks.0.norm1")
        hooks.append(norm.register_forward_hook(lambda _m, _i, output, name=place.name: keep(name, output)))
    try:
        rows = latents.shape[0]
        unet(latents, torch.tensor(0), image_tokens.repeat(rows // 2, 1, 1))
    finally:
        for hook in hooks:
            hook.remove()
    return banks


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What every layer of the denoising net reads; the same in all steps of a clip."""

    image_tokens: torch.Tensor  # (2, n, D), behind them the mood's where the net knows moods: `with_mood`
    audio_tokens: torch.Tensor  # (2, F, k, Da): the unconditional half's are zeros
    masks: Mapping[str, Sequence[torch.Tensor]]  # full, face, lip -> (L_i) of every level
    motion_scale: Sequence[float]  # pose, face, lip
    banks: Mapping[str, torch.Tensor]  # place -> (2(1+m), L, C)


class ResidualBlock(ResnetBlock2D):
    """diffusers' block on every frame; the time embedding is projected once for all frames of a half."""

    def forward(self, hidden: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """hidden (2, C, F, h, w), embedding (2, E)."""
        pair, frames = hidden.shape[0], hidden.shape[2]
        x = fold(hidden)
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(F.silu(embedding)).repeat_interleave(frames, dim=0)[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        if self.conv_shortcut is not None:
            x = self.conv_shortcut(x)
        return unfold(x + h, pair)


class Layers(nn.Module):
    """What down, middle and up blocks have in common: the transformers of their places, one after the other."""

    attentions: nn.ModuleList
    audio_modules: nn.ModuleList
    motion_modules: nn.ModuleList

    def __init__(self, config: UNetConfig, name: str, width: int, layers: int) -> None:
        super().__init__()
        self.places = [place for place in config.places if place.block == name]
        if self.places:
            self.attentions = nn.ModuleList(_spatial(config, place) for place in self.places)
            self.audio_modules = nn.ModuleList(_audio(config, place) for place in self.places)
        self.motion_modules = nn.ModuleList(
            MotionModule(channels=width, heads=config.motion_heads, positions=config.motion_positions)
            for _ in range(layers)
        )

    def transform(self, hidden: torch.Tensor, layer: int, given: Conditions) -> torch.Tensor:
        """hidden (2, C, F, h, w) through the spatial transformer, the audio transformer and the motion module.

        A block without attention skips its motion module: in training mode there are no motion features for it.
        """
        if not self.places:
            return hidden
        place = self.places[layer]
        hidden, features = self.attentions[layer](hidden, given.image_tokens, given.banks[place.name])
        masks = [given.masks[name][place.bank] for name in MASKS]
        hidden = self.audio_modules[layer](hidden, given.audio_tokens, masks, given.motion_scale)
        before = features.unflatten(2, tuple(hidden.shape[3:])).permute(0, 4, 1, 2, 3)  # (2, C, m, h, w)
        moved = self.motion_modules[layer](torch.cat([before, hidden], dim=2))
        return moved[:, :, before.shape[2] :]


class DownBlock(Layers):
    """Layers of one level, then a halving but for the last level."""

    def __init__(self, config: UNetConfig, level: int) -> None:
        before, width = config.channels[max(level - 1, 0)], config.channels[level]
        layers = config.layers_per_block
        super().__init__(config, f"down_blocks.{level}", width, layers)
        self.resnets = nn.ModuleList(_residual(config, before if k == 0 else width, width) for k in range(layers))
        self.downsamplers = None
        if level < config.top:
            self.downsamplers = nn.ModuleList([Downsample2D(width, use_conv=True, out_channels=width, name="op")])

    def forward(
        self, hidden: torch.Tensor, embedding: torch.Tensor, given: Conditions
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """-> hidden, and the skips in the order in which they were made."""
        skips = []
        for layer, resnet in enumerate(self.resnets):
            hidden = self.transform(resnet(hidden, embedding), layer, given)
            skips.append(hidden)
        if self.downsamplers is not None:
            hidden = unfold(self.downsamplers[0](fold(hidden)), hidden.shape[0])
            skips.append(hidden)
        return hidden, skips


class MidBlock(Layers):
    """Residual, the transformers, residual."""

    def __init__(self, config: UNetConfig) -> None:
        width = config.channels[-1]
        super().__init__(config, "mid_block", width, 1)
        self.resnets = nn.ModuleList(_residual(config, width, width) for _ in range(2))

    def forward(self, hidden: torch.Tensor, embedding: torch.Tensor, given: Conditions) -> torch.Tensor:
        hidden = self.transform(self.resnets[0](hidden, embedding), 0, given)
        return self.resnets[1](hidden, embedding)


class UpBlock(Layers):
    """Layers of one level, each after the newest skip was put beside the state, then a doubling but for the last."""

    def __init__(self, config: UNetConfig, block: int) -> None:
        level = config.top - block
        c, layers = config.channels, config.layers_per_block + 1
        super().__init__(config, f"up_blocks.{block}", c[level], layers)
        coarser, finer = c[min(level + 1, config.top)], c[max(level - 1, 0)]
        states = [coarser] + [c[level]] * (layers - 1)
        skips = [c[level]] * (layers - 1) + [finer]
        self.resnets = nn.ModuleList(
            _residual(config, state + skip, c[level]) for state, skip in zip(states, skips, strict=True)
        )
        self.upsamplers = None
        if level > 0:
            self.upsamplers = nn.ModuleList([Upsample2D(c[level], use_conv=True, out_channels=c[level])])

    def forward(
        self, hidden: torch.Tensor, skips: list[torch.Tensor], embedding: torch.Tensor, given: Conditions
    ) -> torch.Tensor:
        """Takes its skips off the end of `skips`."""
        for layer, resnet in enumerate(self.resnets):
            hidden = torch.cat([hidden, skips.pop()], dim=1)
            hidden = self.transform(resnet(hidden, embedding), layer, given)
        if self.upsamplers is not None:
            hidden = unfold(self.upsamplers[0](fold(hidden)), hidden.shape[0])
        return hidden


class DenoisingUNet(nn.Module):
    """The denoising net for both guidance halves at once, its five dead motion modules included."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        c, top = config.channels, config.top
        self.conv_in = nn.Conv2d(config.latent_channels, c[0], 3, padding=1)
        self.time_proj = Timesteps(c[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(c[0], config.embedding_dim)
        self.down_blocks = nn.ModuleList(DownBlock(config, level) for level in range(top + 1))
        self.mid_block = MidBlock(config)
        self.up_blocks = nn.ModuleList(UpBlock(config, block) for block in range(top + 1))
        self.conv_norm_out = nn.GroupNorm(config.groups, c[0], eps=RESIDUAL_EPS)
        self.conv_out = nn.Conv2d(c[0], config.latent_channels, 3, padding=1)
        if config.moods:  # of talk_pocket: the published net has none
            self.mood_tokens = nn.Parameter(torch.empty(config.moods, config.image_token_dim))

    def with_mood(self, image_tokens: torch.Tensor, mood: Sequence[float]) -> torch.Tensor:
        """image_tokens (2, n, D), how much there is of each mood -> (2, n + 1, D): zeros in the unconditional half."""
        token = image_tokens.new_tensor([list(mood)]) @ self.mood_tokens  # (1, D)
        return torch.cat([image_tokens, torch.stack([torch.zeros_like(token), token])], dim=1)

    def forward(
        self, latents: torch.Tensor, timestep: torch.Tensor, face_features: torch.Tensor, given: Conditions
    ) -> torch.Tensor:
        """latents (2, 4, F, h, w), timestep (), face_features (2, C0, F, h, w): zeros in the unconditional half ->
        v (2, 4, F, h, w)."""
        pair = latents.shape[0]
        embedding = self.time_embedding(self.time_proj(timestep.expand(pair)))
        hidden = unfold(self.conv_in(fold(latents)), pair) + face_features
        skips = [hidden]
        for down in self.down_blocks:
            hidden, made = down(hidden, embedding, given)
            skips += made
        hidden = self.mid_block(hidden, embedding, given)
        for up in self.up_blocks:
            hidden = up(hidden, skips, embedding, given)
        return unfold(self.conv_out(F.silu(self.conv_norm_out(fold(hidden)))), pair)


def _residual(config: UNetConfig, inputs: int, outputs: int) -> ResidualBlock:
    return ResidualBlock(
        in_channels=inputs,
        out_channels=outputs,
        temb_channels=config.embedding_dim,
        groups=config.groups,
        eps=RESIDUAL_EPS,
    )


def _spatial(config: UNetConfig, place: Place) -> SpatialTransformer:
    return SpatialTransformer(
        channels=place.channels,
        heads=config.heads,
        image_token_dim=config.image_token_dim,
        groups=config.groups,
    )


def _audio(config: UNetConfig, place: Place) -> AudioTransformer:
    return AudioTransformer(
        channels=place.channels,
        inner=place.audio_channels,
        heads=config.heads,
        audio_token_dim=config.audio_token_dim,
        groups=config.groups,
    )
