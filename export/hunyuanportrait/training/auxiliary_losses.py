"""What the denoiser is asked besides, while it learns: where each part of the face goes, and what the head does.

At high noise a face that does not move is nearly right on average, and a UNet stays content with it (after 300 steps
another clip's motion gave the same error): it hears its motion tokens only when moving the whole head by themselves
pays. So each level on the way up is asked two things that nothing but those tokens can answer: how far every cell's
face was away in the portrait, and the state that was drawn. The questions are small linear layers that are thrown
away; what they taught stays.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from export.hunyuanportrait.networks.unet import UNet


class AuxiliaryLosses(nn.Module):
    """A 1 x 1 convolution on the end of the middle and of each level up, over normalised features."""

    def __init__(self, unet: UNet, states: int) -> None:
        super().__init__()
        self._seen: dict[str, Tensor] = {}
        blocks: list[Any] = [unet.mid_block, *unet.up_blocks]
        widths = [unet.config.block_out_channels[-1], *reversed(unet.config.block_out_channels)]
        self.questions = nn.ModuleDict()
        for number, (block, width) in enumerate(zip(blocks, widths, strict=True)):
            norm = nn.GroupNorm(4, width, affine=False)
            self.questions[str(number)] = nn.Sequential(norm, nn.Conv2d(width, 2 + states, 1))
            last = block.attentions[-1] if hasattr(block, "attentions") and number else block.resnets[-1]
            last.register_forward_hook(partial(_keep, self._seen, str(number)))

    def forward(self, portrait: Tensor, points: Tensor, states: Tensor, asked: Tensor) -> Tensor:
        """The loss of the UNet's last call. For each of its N frames: landmarks in the portrait and in the frame,
        (N, K, 2) in cells of the finest level; the state (N, S); whether it is asked, (N) of 0 and 1."""
        finest = max(seen.shape[-1] for seen in self._seen.values())
        losses = []
        for name, question in self.questions.items():
            seen = self._seen.pop(name).float()
            answer = question(seen).float()
            way, weight = way_to_portrait(portrait, points, seen.shape[-1], finest)
            weight = weight * asked[:, None, None, None]
            moved = ((answer[:, :2] - way).square() * weight).sum() / weight.sum().clamp(min=1)
            told = ((answer[:, 2:] - states[:, :, None, None]).square().mean(dim=(1, 2, 3)) * asked).mean()
            losses.append(0.5 * moved + 0.5 * told)
        return torch.stack(losses).mean()


def _keep(where: dict[str, Tensor], name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
    where[name] = output


def way_to_portrait(portrait: Tensor, points: Tensor, side: int, finest: int) -> tuple[Tensor, Tensor]:
    """(N, 2, side, side), from each cell to where its part of the face is in the portrait, in cells of the finest
    level, and how near a landmark it is, (N, 1, side, side) from 0 to 1."""
    size = finest / side
    cells = (torch.arange(side, device=points.device) + 0.5) * size - 0.5
    x, y = ((cells - points[..., i, None]).square() for i in (0, 1))  # (N, K, side)
    reach = max(1.0, size / 1.5)
    weights = torch.exp(-0.5 * (y[..., :, None] + x[..., None, :]) / reach**2)  # (N, K, side, side)
    total = weights.sum(dim=1, keepdim=True)
    way = torch.einsum("nkyx,nkc->ncyx", weights, portrait - points) / (total + 1e-3)
    return way, total.clamp(max=1)
