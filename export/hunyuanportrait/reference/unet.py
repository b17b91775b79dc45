"""The UNet as released: diffusers' SVD UNet, a second key/value pair in every cross-attention, pose features.

Three things differ from stock SVD, and each is attached from outside:
- `attn2` gets a processor that adds the attention to the motion tokens: the 64 adapter keys.
- The temporal `attn2` sees the MEAN over the window's frames of each context (SVD: the first
  frame), repeated for every pixel and projected on the copies, as the released program does.
- The pose features are added to the output of `conv_in`.

The uneven norm epsilons (1e-6 in most res blocks, 1e-5 in down_blocks.3 and the middle) are
diffusers' own; a test holds them against the recorded list.

Source: SPEC 4.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models import UNetSpatioTemporalConditionModel
from diffusers.models.attention_processor import Attention
from torch import nn

from export.blocks import group_norms_by


class Context:
    """What the cross-attentions of one forward read; the UNet fills it, the processors share it."""

    image: torch.Tensor  # (B, F, n, D)
    motion: torch.Tensor  # (B, F, m, D)


class MotionAttention(nn.Module):
    """A cross-attention's processor: softmax(q k) v over the image tokens, plus `scale` times the same over motion."""

    def __init__(self, *, query_dim: int, cross_attention_dim: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.to_k_ip = nn.ModuleList([nn.Linear(cross_attention_dim, query_dim, bias=False)])
        self.to_v_ip = nn.ModuleList([nn.Linear(cross_attention_dim, query_dim, bias=False)])

    def __call__(self, attn: Attention, hidden_states: torch.Tensor, *unused: Any, **unused_too: Any) -> torch.Tensor:
        image, motion = self.contexts(hidden_states)
        return self.attend(attn, hidden_states, image, motion)

    def contexts(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raise NotImplementedError

    def attend(
        self, attn: Attention, hidden_states: torch.Tensor, image: torch.Tensor, motion: torch.Tensor
    ) -> torch.Tensor:
        """(b, q, C), (b, n, D), (b, m, D) -> (b, q, C)."""
        q = heads_first(attn.to_q(hidden_states), attn.heads)
        k, v = (heads_first(project(image), attn.heads) for project in (attn.to_k, attn.to_v))
        out = F.scaled_dot_product_attention(q, k, v)
        k, v = (heads_first(project(motion), attn.heads) for project in (self.to_k_ip[0], self.to_v_ip[0]))
        out = out + self.scale * F.scaled_dot_product_attention(q, k, v)
        return attn.to_out[0](out.transpose(1, 2).flatten(2))


class SpatialMotionAttention(MotionAttention):
    """Queries are (B*F, pixels, C): each frame reads its own tokens."""

    def __init__(self, *, context: Context, **config: Any) -> None:
        super().__init__(**config)
        self.context = context

    def contexts(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.context.image.flatten(0, 1), self.context.motion.flatten(0, 1)


class TemporalMotionAttention(SpatialMotionAttention):
    """Queries are (B*pixels, F, C): every pixel reads a copy of its row's window mean."""

    def contexts(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = hidden_states.shape[0] // self.context.image.shape[0]
        image, motion = (t.mean(dim=1) for t in (self.context.image, self.context.motion))
        return image.repeat_interleave(pixels, dim=0), motion.repeat_interleave(pixels, dim=0)


def heads_first(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(b, tokens, C) -> (b, heads, tokens, C / heads)."""
    return x.unflatten(-1, (heads, x.shape[-1] // heads)).transpose(1, 2)


class ReferenceUNet(UNetSpatioTemporalConditionModel):
    """diffusers' UNet with the 64 adapter keys. `build` makes one from a golden config."""

    context: Context
    pose_features: torch.Tensor | None

    @classmethod
    def build(cls, *, motion_scale: float = 1.0, norm_num_groups: int = 32, **config: Any) -> ReferenceUNet:
        unet = cls(**config)
        group_norms_by(unet, norm_num_groups)  # diffusers' own knows only 32
        unet.context = Context()
        unet.pose_features = None
        for name, module in unet.named_modules():
            if name.endswith(".attn2"):
                kind = TemporalMotionAttention if ".temporal_transformer_blocks." in name else SpatialMotionAttention
                processor = kind(
                    context=unet.context,
                    query_dim=module.inner_dim,
                    cross_attention_dim=module.cross_attention_dim,
                    scale=motion_scale,
                )
                module.set_processor(processor)
        unet.conv_in.register_forward_hook(unet._add_pose)
        return unet

    def _add_pose(self, module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return output if self.pose_features is None else output + self.pose_features.flatten(0, 1)

    def velocity(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor | float,
        added_time_ids: torch.Tensor,
        image_tokens: torch.Tensor,
        motion_tokens: torch.Tensor,
        pose_features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """sample (B, F, 8, h, w) already scaled, timestep = 0.25 ln(sigma), added_time_ids (B, 3), image_tokens
        (B, F, n, D), motion_tokens (B, F, m, D), pose_features (B, F, C0, h, w) or None -> v (B, F, 4, h, w)."""
        self.context.image, self.context.motion = image_tokens, motion_tokens
        self.pose_features = pose_features
        timestep = torch.as_tensor(timestep, dtype=torch.float32)
        unread = image_tokens[:, 0]  # diffusers hands it down to the processors, which read the context instead
        return self(sample, timestep, unread, added_time_ids, return_dict=False)[0]
