"""The released algorithm for one window, with nothing skipped: three rows, every context projected at every pixel.

With diffusers these are its own UNet and decoder, as `export.hunyuanportrait.reference` has them. Without it they are
ours, arranged as the released ones: `KIND` of the report says which was measured. Both take the weights of the exact
path's modules, as they are: no second copy.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from export.blocks import attend
from export.hunyuanportrait.architecture import Architecture
from export.hunyuanportrait.networks.unet import Context, CrossAttention, StepEmbedding, TemporalBlock, UNet
from export.hunyuanportrait.networks.vae import VAE


class Velocity(Protocol):
    """What `export.hunyuanportrait.reference.unet.ReferenceUNet` offers: see there."""

    def velocity(
        self, sample: Tensor, timestep: Tensor, added_time_ids: Tensor, image: Tensor, motion: Tensor, pose: Tensor
    ) -> Tensor: ...


class Released:
    """One window's velocity and one chunk's frames, in the precision of the modules that it borrows."""

    def __init__(self, architecture: Architecture, unet: UNet, vae: VAE, pose_features: Tensor) -> None:
        self.with_diffusers = importlib.util.find_spec("diffusers") is not None
        self.kind = "diffusers' networks" if self.with_diffusers else "our networks, arranged as the released ones"
        self._vae: Any
        if self.with_diffusers:
            self._unet, self._vae = _of_diffusers(architecture, unet, vae)
        else:
            self._unet, self._vae = OwnUNet(architecture, unet), vae
        self._scale, self._pose = architecture.vae.scaling_factor, pose_features
        self.dtype = unet.conv_in.weight.dtype

    def velocity(self, seen: Mapping[str, Tensor], *, guidance: tuple[float, float], batched: bool = False) -> Tensor:
        """v_u + g1 (v_d - v_u) + g2 (v_c - v_d) of `seen`, by `conditions` names; rows one by one, or at once."""
        frames = seen["latents"].shape[0]
        scaled = (seen["latents"] * seen["c_in"]).to(self.dtype)
        image = seen["image_latents"].to(self.dtype).expand(frames, -1, -1, -1)
        tokens, motion = seen["image_tokens"].expand(frames, -1, -1), seen["motion_tokens"]
        rows = [
            (torch.zeros_like(image), torch.zeros_like(tokens), torch.zeros_like(motion)),
            (image, tokens, torch.zeros_like(motion)),
            (image, tokens, motion),
        ]
        samples = [torch.cat([scaled, row_image], dim=1) for row_image, _, _ in rows]
        parts = (samples, [row[1] for row in rows], [row[2] for row in rows])
        groups = [slice(0, 3)] if batched else [slice(i, i + 1) for i in range(3)]
        velocities = []
        for group in groups:
            sample, row_tokens, row_motion = (torch.stack(part[group]) for part in parts)
            count = sample.shape[0]
            ids = seen["added_time_ids"].expand(count, -1)
            pose = self._pose.to(self.dtype).expand(count, frames, -1, -1, -1)
            velocities.append(self._unet.velocity(sample, seen["timestep"][0], ids, row_tokens, row_motion, pose))
        v = torch.cat(velocities).float()
        g1, g2 = guidance
        return v[0] + g1 * (v[1] - v[0]) + g2 * (v[2] - v[1])

    def decode(self, latents: Tensor) -> Tensor:
        """(f, 4, h, w) scaled latents -> (f, 3, H, W) float32."""
        scaled = (latents / self._scale).to(self.dtype)
        if self.with_diffusers:
            return self._vae.decode(scaled, num_frames=scaled.shape[0]).sample.float()
        return self._vae.decode(scaled).float()


def _of_diffusers(architecture: Architecture, unet: UNet, vae: VAE) -> tuple[Any, Any]:
    from export.hunyuanportrait.reference.networks import build_network

    made = []
    for name, config, owner in (
        ("unet", architecture.unet.to_diffusers(), unet),
        ("vae", architecture.vae.to_diffusers(), vae),
    ):
        module = build_network(name, config)
        module.load_state_dict(owner.state_dict(), strict=True, assign=True)
        made.append(module.eval().requires_grad_(False))
    return made[0], made[1]


class OwnUNet:
    """Our UNet with what it skips put back: contexts a frame, and a copy of the window's mean a pixel."""

    def __init__(self, architecture: Architecture, unet: UNet) -> None:
        with torch.device("meta"):
            self._unet = UNet(architecture.unet)
        self._unet.load_state_dict(unet.state_dict(), strict=True, assign=True)
        keep_positions(self._unet, frames_of=unet)
        for module in self._unet.modules():
            if isinstance(module, TemporalBlock):
                module.attn2.__class__ = PixelCrossAttention
        self._embedding = StepEmbedding(self._unet)

    def velocity(
        self, sample: Tensor, timestep: Tensor, added_time_ids: Tensor, image: Tensor, motion: Tensor, pose: Tensor
    ) -> Tensor:
        with torch.device(sample.device):
            embedding = self._embedding(timestep[None], added_time_ids[0]).to(sample.dtype)
        frames = sample.shape[1]
        return self._unet(sample.flatten(0, 1), embedding, Context(image, motion), frames, pose).unflatten(
            0, (-1, frames)
        )


class PixelCrossAttention(CrossAttention):
    """Temporal cross-attention as released: every pixel of a row projects its own copy of the row's context."""

    def forward(self, x: Tensor, image: Tensor, motion: Tensor, frames: int) -> Tensor:
        cells, width = x.shape[1:]
        by_pixel = x.reshape(-1, frames, cells, width).transpose(1, 2).reshape(-1, frames, width)
        q, ip = self.to_q(by_pixel), self.processor
        image, motion = (context.repeat_interleave(cells, dim=0) for context in (image, motion))
        out = attend(q, self.to_k(image), self.to_v(image), self.heads)
        out = out + self.motion_scale * attend(q, ip.to_k_ip[0](motion), ip.to_v_ip[0](motion), self.heads)
        return self.to_out[0](out).reshape(-1, cells, frames, width).transpose(1, 2).reshape(x.shape)


def keep_positions(unet: nn.Module, *, frames_of: nn.Module | None = None, frames: int | None = None) -> None:
    """Frame positions as the constants that they are in a graph: made once for `frames`, or taken from another UNet."""
    owners = dict((frames_of or unet).named_modules())
    for name, module in unet.named_modules():
        if hasattr(module, "frame_positions"):
            made = owners[name].positions if frames is None else module.frame_positions(frames)
            module.positions = made
            module.__class__ = _placed(type(module))


@cache
def _placed(kind: type[nn.Module]) -> type[nn.Module]:
    """The transformer that reads its positions instead of making them."""

    class Placed(kind):  # type: ignore[misc, valid-type]  # its base is only known here
        def frame_positions(self, frames: int) -> Tensor:
            return self.positions

    return Placed
