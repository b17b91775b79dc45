"""All of training: one phase, in a folder that it resumes from, and the file of weights with its card."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.part_file import write_whole
from engines.safe_output import refusing
from export.enhancer.networks.upscaler import SHUFFLE, Upscaler
from export.enhancer.presets import Preset
from export.enhancer.training.pairs import PEOPLE, PICTURES, VARIED, pairs
from export.training.phase import Modules, Settings, Tell
from export.training.pictures import Pictures
from export.training.run import Run
from export.weights.packed import write_weights
from procedural.clip import FIRST_TRAINING_SEED

PHASE = "upscaler"
CARD = "card.md"
_PX, _BATCH = 64, 8  # of a cut, and cuts of a step
_COLOURS = 3
_BEGIN = 0.1  # of the usual size: what a residual block's convolutions begin with


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much of everything. The defaults are those of the shipped weights."""

    upscaler_steps: int = 9000


class Training:
    """Training of a preset that has an upscaler."""

    def __init__(self, preset: Preset, amounts: Amounts, settings: Settings) -> None:
        self.preset, self.amounts, self.settings = preset, amounts, settings
        self.run = Run(settings, ("upscaler",))

    def stages(self) -> dict[str, Callable[[Tell], bool | None]]:
        """What comes before the weights are written: False of a phase that has not ended."""
        return {PHASE: self.upscaler}

    def upscaler(self, tell: Tell) -> bool:
        """The upscaler; True when it is complete."""
        torch.manual_seed(self.settings.seed)
        network = cast(Upscaler, self.preset.architecture.build("upscaler", device="cpu"))
        begin(network)
        phase = UpscalerPhase(network.to(self.settings.device), self.amounts.upscaler_steps, self.settings.device)
        return self.run.train(phase, tell)

    def write(self, path: Path) -> None:
        """The averaged weights as one file of half precision, and its card beside it."""
        write_weights(path, {"upscaler": self.run.end(PHASE)["upscaler"]}, preset=self.preset.name)
        with refusing(path):
            write_whole(path.with_suffix(".md"), self._card(path).encode())

    def _card(self, path: Path) -> str:
        content = path.read_bytes()
        network = self.preset.architecture.build("upscaler")
        facts = {
            "preset": self.preset.name,
            "parameters": sum(p.numel() for p in network.parameters()),
            "steps": self.amounts.upscaler_steps,
            "batch": _BATCH,
            "px": _PX,
            "varied": round(100 * VARIED),
            "pictures": round(100 * PICTURES),
            "first": FIRST_TRAINING_SEED,
            "last": FIRST_TRAINING_SEED + PEOPLE - 1,
            "seed": self.settings.seed,
            "file": path.name,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        return resources.files(__package__).joinpath(CARD).read_text(encoding="utf-8").format(**facts)


class UpscalerPhase:
    """The mean absolute error of a drawn picture, made of it at half the side."""

    name = PHASE
    curves: tuple[str, ...] = ("loss", "psnr", "psnr_bicubic")
    batches = 1
    learning_rate = 4e-3
    faster: Mapping[str, float] = {}

    def __init__(self, network: Upscaler, steps: int, device: torch.device) -> None:
        network.train().requires_grad_(True)
        self.network, self.steps, self.device = network, steps, device
        self.modules: Modules = {"upscaler": network}
        self.others = Pictures()

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        small, large = (_planes(cuts, self.device) for cuts in pairs(_BATCH, _PX, rng, self.others))
        error = self.network(small).float() - large
        with torch.no_grad():
            bicubic = F.interpolate(small, scale_factor=2.0, mode="bicubic").clamp(0, 1) - large
        return {
            "loss": error.abs().mean(),
            "psnr": _psnr(error.detach()),
            "psnr_bicubic": _psnr(bicubic),
        }

    def finish(self, modules: Modules) -> None:
        """The averaged network is what is kept; nothing else to do."""


@torch.no_grad()
def begin(network: Upscaler) -> None:
    """Weights to begin with: a linear enlargement in the first channels, and little from torch's generator beside it.

    Found by gradients alone, as from random weights, that enlargement takes most of the steps that there are.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=0.2)
            if name.startswith("body") or name in ("conv_body", "conv_last"):
                module.weight.mul_(_BEGIN)
            assert module.bias is not None
            module.bias.zero_()
    convolutions = (network.conv_first, network.conv_up1, network.conv_up2, network.conv_hr, network.conv_last)
    first, up1, up2, hr, last = (conv.weight for conv in convolutions)
    colours = range(_COLOURS)
    pixels = _COLOURS * SHUFFLE**2
    first[:pixels] = 0
    for channel in range(pixels):
        first[channel, channel, 1, 1] = 1
    for weight in (up1, up2, hr):
        weight[:_COLOURS] = 0
    last[:, :_COLOURS] = 0
    for colour in colours:
        of_colour = slice(colour * SHUFFLE**2, (colour + 1) * SHUFFLE**2)
        up1[colour, of_colour] = torch.einsum("ak,bl->abkl", _APART, _APART).reshape(SHUFFLE**2, 3, 3)
        up2[colour, colour] = torch.outer(_BETWEEN, _BETWEEN)
        hr[colour, colour, 1, 1] = last[colour, colour, 1, 1] = 1


# A cell's two pixels from what stands left of it, here and right of it, where cells stand twice: a row each. At the
# first of the two the right one is the same cell, at the second the left one: each gets its own pixel, and half of how
# far the neighbour's two differ from a ramp.
_APART = torch.tensor([[-0.375, 0.25, 0.625], [0.625, 0.25, -0.375]])
_BETWEEN = torch.tensor([0.25, 0.5, 0.25])  # the bilinear filter, where pixels stand twice


def _planes(pictures: np.ndarray, device: torch.device) -> Tensor:
    """(n, H, W, 3) uint8 -> (n, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 255


def _psnr(error: Tensor) -> Tensor:
    """Of pixels in [0, 1]."""
    return -10 * torch.log10(error.square().mean())
