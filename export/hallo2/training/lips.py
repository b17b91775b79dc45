"""The phases before the last one: the last place of the denoising net alone, which learns what lips do.

The last place with attention stands at the finest level, right before the last convolution: its audio transformer hears
the tokens, its motion module sees the motion frames, and both have a feed-forward for every cell. All before it is as
`initial_weights.py` leaves it and does not change, so what it is given is computed once, from pure noise, and a step
costs a twentieth of one of the whole net. What is learnt here, the last phase begins with.

Of every clip `given` keeps an item for each window, as a video's beginning or as what goes on from the frames before
it, spoilt. A net that learnt of these alone loses the face in a second, because each clip copies the errors of the one
before. So it learns once more, with items in which it goes on from what it made itself (`rolled`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from export.hallo2.networks.denoising_unet import DenoisingUNet
from export.hallo2.networks.transformers import Sound
from export.hallo2.training.talk import TalkWindows, computing
from export.hallo2.training.talker import Told
from export.training.phase import Modules
from runtime.hallo2 import ddim

_AT_MOUTH = 6.0  # how many times a cell there counts


class LastPlace(nn.Module):
    """The parts of a denoising net behind its last residual block and spatial transformer; the net's own modules."""

    def __init__(self, denoiser: DenoisingUNet) -> None:
        super().__init__()
        place = denoiser.config.places[-1]
        block: Any = denoiser.get_submodule(place.block)
        self.heads = denoiser.config.heads
        self.audio, self.motion = block.audio_modules[place.layer], block.motion_modules[place.layer]
        self.norm, self.conv = denoiser.conv_norm_out, denoiser.conv_out

    def forward(self, state: Tensor, motion: Tensor, tokens: Tensor, masks: Tensor) -> Tensor:
        """state (F, C, L), motion (1, m, C, L), tokens (F, k, Da), masks (3, L) -> v (F, 4, h, w)."""
        frames, channels, cells = state.shape
        sound = Sound.of(tokens, masks, torch.ones(3, device=state.device), self.heads)
        x = self.motion(self.audio(state, sound, frames), motion, frames)
        side = round(cells**0.5)
        return self.conv(nn.functional.silu(self.norm(x.reshape(frames, channels, side, side))))


@dataclass(frozen=True, kw_only=True)
class Item:
    """What the last place is given of one window."""

    state: np.ndarray  # (F, C, L)
    motion: np.ndarray  # (m, C, L)


def kept(item: Item) -> np.ndarray:
    """((F + m) C, L) float16."""
    return np.concatenate([item.state, item.motion]).reshape(-1, item.state.shape[2]).astype(np.float16)


def unpacked(array: np.ndarray, frames: int, channels: int) -> Item:
    """What was `kept`."""
    both = array.reshape(-1, channels, array.shape[1])
    return Item(state=both[:frames], motion=both[frames:])


@torch.no_grad()
def given(windows: TalkWindows, i: int) -> np.ndarray:
    """The items of a clip: its windows by turns as a beginning and as what goes on, (windows, (F + m) C, L)."""
    rng = np.random.default_rng([windows.numbers[i], 94])
    items = []
    for window in range(len(windows.cut.starts)):
        told = windows.told(i, window, rng, begins=(window + windows.numbers[i]) % 2 == 0, nobody=True)
        items.append(_step(windows, told, rng)[0])
    return np.stack(items)


@torch.no_grad()
def rolled(windows: TalkWindows, i: int) -> np.ndarray:
    """Items of a clip whose motion frames the net made itself: its windows follow each other round and round, twice.

    (2 windows, (F + m) C, L), each window at its place in the clip, once for each round.
    """
    rng = np.random.default_rng([windows.numbers[i], 95])
    count = len(windows.cut.starts)
    told = windows.beginning(i)
    items: dict[int, np.ndarray] = {}
    for k in range(2 * count + 1):
        item, velocity = _step(windows, told, rng)
        if k:
            items[k % count + count * ((k - 1) // count)] = item
        told = windows.going_on(i, (k + 1) % count, windows.again(i, -velocity, rng))
    return np.stack([items[index] for index in sorted(items)])


def _step(windows: TalkWindows, told: Told, rng: np.random.Generator) -> tuple[np.ndarray, Tensor]:
    """What the last place is given where this is made of pure noise, and v."""
    last = LastPlace(windows.talker.denoiser)
    noise = windows.noise(told, rng)
    seen: dict[str, Tensor] = {}
    hooks = [
        last.audio.register_forward_pre_hook(lambda _, args: seen.update(state=args[0])),
        last.motion.register_forward_pre_hook(lambda _, args: seen.update(motion=args[1])),
    ]
    try:
        at = torch.tensor([ddim.TRAINED_STEPS - 1], device=windows.device)
        velocity = windows.talker.velocity(noise, at, windows.talker.conditions(told))
    finally:
        for hook in hooks:
            hook.remove()
    return kept(Item(state=seen["state"].cpu().numpy(), motion=seen["motion"][0].cpu().numpy())), velocity


class LipsPhase:
    """Of each of the windows' clips: `items`, as `given` and `rolled` made them, one behind the other."""

    curves: tuple[str, ...] = ("loss", "mouth", "face", "still")
    batches = 2
    learning_rate = 1e-3
    faster: Mapping[str, float] = {}

    def __init__(self, name: str, windows: TalkWindows, items: Sequence[np.ndarray], steps: int) -> None:
        self.name = name
        last = LastPlace(windows.talker.denoiser)
        for parameter in last.parameters():
            parameter.requires_grad_(True)
        self.modules: Modules = {"last_place": last}
        self.windows, self.items, self.steps = windows, items, steps

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        windows = self.windows
        i = int(rng.integers(len(self.items)))
        k = int(rng.integers(len(self.items[i])))
        window = k % len(windows.cut.starts)
        target, mouth = windows.target(i, window), windows.mouth(i, window)
        channels = windows.talker.denoiser.config.channels[0]
        item = unpacked(np.asarray(self.items[i][k]), len(target), channels)
        last = cast(LastPlace, self.modules["last_place"])
        with computing(windows.device):
            made = last(
                windows.tensor(item.state),
                windows.tensor(item.motion)[None],
                windows.tokens(i, window),
                windows.masks(i)[0],
            )
        error, still = (made + target).square(), (windows.portrait(i) - target).square()
        whole = mouth.sum() * target.shape[1]
        return {
            "loss": (error * (1 + (_AT_MOUTH - 1) * mouth)).mean(),
            "mouth": (error * mouth).sum() / whole,
            "face": error.mean(),
            "still": (still * mouth).sum() / whole,
        }

    def finish(self, modules: Modules) -> None:
        """The averaged networks are what is kept; nothing else to do."""
