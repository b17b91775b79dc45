"""The last phase: both UNets, on windows of clips as the application will ask for them.

The loss is the released one, v at a noise level of the released schedule, with what matters weighted: cells at the
mouth and the eyes count several times, what changes from frame to frame counts once more, and pure noise, where
conditions are all there is, is most of the levels. A window goes on from the frames before it with pixels dropped, or
begins a video from the portrait, or, now and then, from nothing. Behind frames that the nets made themselves it is to
be as it should be at once: what those were off by is not to be handed on, and the step that it makes there is taken
away where the clips are joined (`runtime/hallo2/joint.py`). The face's numbers are zeros half of the time; sound is
dropped at times, and the unconditional half learns beside the conditional one at times.

The published recipe has a stage of single frames before this one, without motion modules. It is left out: it learns
from the portrait alone what a person looks like, which costs most of its time, and motion frames show that at once. In
its place stands `lips.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from export.hallo2.networks.denoising_unet import DenoisingUNet
from export.hallo2.networks.vae import VAE
from export.hallo2.training.drawn import TalkingClip, TalkingClips
from export.hallo2.training.near import near
from export.hallo2.training.seen import DROPPED, Cut, Seen, planes
from export.hallo2.training.talker import Talker, Told
from export.training.phase import Modules
from procedural.landmarks import POINTS
from procedural.speech import MOUTH
from runtime.hallo2 import ddim
from runtime.hallo2.motion_frames import drop

_BEGINS, _FROM_NOTHING = 0.35, 0.05  # of the windows; the others go on from the frames before them
_ANOTHER_PORTRAIT = 0.15  # of those: one of the clip's own frames, and not the calm one
_NOBODY, _SILENT, _BOTH, _NO_MOOD = 0.5, 0.05, 0.1, 0.15
_PURE_NOISE = 0.8
# What motion frames are spoilt with, in deviations of a latent, at most: noise, and an offset of all cells. Those of a
# chain are made, and what is wrong in them would be copied from clip to clip; the portrait shows how it should be.
_NOISY, _SHIFTED = 0.15, 0.1
_MADE = 0.8  # of the second windows that go on: behind motion frames that the net made itself
_DEEPER = 0.5  # of those: behind one more window that it made, and of these again, up to so many
_DEEPEST = 4
_AT_MOUTH, _AT_EYES = 10.0, 5.0  # how many times a cell there counts
_CHANGES = 1.0  # weight of what changes from frame to frame
_CALM = 0.3  # of the windows are of a clip in any mood, the others of one in a mood
_ASKED = 0.3  # weight of what is asked besides, at the beginning
_EYE_POINTS = tuple(n for n, name in enumerate(POINTS) if "brow" in name or "lid" in name)
_MOUTH_POINTS = tuple(
    POINTS.index(name) for name in ("left mouth corner", "right mouth corner", "upper lip", "lower lip", "chin")
)


class TalkWindows:
    """Windows of clips. Of each of `numbers`, clips: `seen`, as `look` made it, and `heard`, tokens of its sentence."""

    def __init__(
        self,
        modules: Modules,
        *,
        clips: TalkingClips,
        seen: Sequence[np.ndarray],
        heard: Sequence[np.ndarray],
        numbers: Sequence[int],
        cut: Cut,
        vae: VAE,
        device: torch.device,
    ) -> None:
        self.talker = Talker(modules)
        self.clips, self.numbers, self.cut, self.vae, self.device = clips, numbers, cut, vae, device
        self._seen, self._heard = seen, heard

    def told(
        self,
        i: int,
        window: int,
        rng: np.random.Generator,
        *,
        begins: bool | None = None,
        nobody: bool | None = None,
        silent: bool = False,
    ) -> Told:
        """What a window of a clip is made from, in training, by chance where it is not said."""
        seen, draw = self.seen(i), rng.uniform()
        portrait, m = seen.portrait, self.cut.motion_frames
        if begins or (begins is None and draw < _BEGINS):
            motion = np.repeat(seen.dropped_portrait, m, axis=0)
        elif begins is None and draw < _BEGINS + _FROM_NOTHING:
            motion = np.repeat(seen.nothing, m, axis=0)
        elif begins is None and window and rng.uniform() < _MADE:
            motion = self._made(i, window, rng)
        else:
            motion = seen.motion[window]
            if rng.uniform() < _ANOTHER_PORTRAIT:
                portrait = seen.frames[[int(rng.integers(len(seen.frames)))]]
        offset = rng.uniform(0, _SHIFTED) * rng.normal(size=(1, motion.shape[1], 1, 1))
        spoilt = motion + offset + rng.uniform(0, _NOISY) * rng.normal(size=motion.shape)
        unknown = rng.uniform() < _NOBODY if nobody is None else nobody
        return self._told(
            i,
            window,
            portrait,
            spoilt,
            identity=0.0 if unknown else 1.0,
            sound=0.0 if silent else 1.0,
            mood=0.0 if silent or rng.uniform() < _NO_MOOD else 1.0,
        )

    def beginning(self, i: int, window: int = 0) -> Told:
        """What a window of a clip would be made from as the first of a video, of nobody's face numbers."""
        seen = self.seen(i)
        motion = np.repeat(seen.dropped_portrait, self.cut.motion_frames, axis=0)
        return self._told(i, window, seen.portrait, motion, identity=0.0)

    def going_on(self, i: int, window: int, motion: Tensor) -> Told:
        """What a window would be made from behind these motion frames, latents (m, 4, h, w)."""
        frames = motion.cpu().numpy()
        return self._told(i, window, self.seen(i).portrait, frames, identity=0.0)

    @torch.no_grad()
    def _made(self, i: int, window: int, rng: np.random.Generator) -> np.ndarray:
        """What a window goes on from where the net made the windows before it, in one step each: (m, 4, h, w).

        The first of them begins a video. A clip's windows follow each other round and round, so that a short clip is
        a long chain; the last of them is the one right before `window`.
        """
        count = len(self.cut.starts)
        windows = 1
        while windows < _DEEPEST and rng.uniform() < _DEEPER:
            windows += 1
        told = self.beginning(i, (window - windows) % count)
        for k in range(windows):
            made = made_latents(self.talker, told, self.noise(told, rng), steps=1)
            motion = self.again(i, made, rng)
            told = self.going_on(i, (window - windows + k + 1) % count, motion)
        return motion.cpu().numpy()

    def noise(self, told: Told, rng: np.random.Generator) -> Tensor:
        """Of a window's latents, (F, 4, h, w)."""
        return self.tensor(rng.normal(size=(self.cut.window, *told.portrait.shape[1:])))

    @torch.no_grad()
    def again(self, i: int, made: Tensor, rng: np.random.Generator) -> Tensor:
        """The motion frames after latents (F, 4, h, w) that the net made: decoded, dropped, encoded, (m, 4, h, w)."""
        scale, channels = self.vae.config.scaling_factor, self.vae.config.latent_channels
        region = np.repeat(self.clip(i).face_region[None], 3, axis=0)
        frames = self.vae.decode(made[-self.cut.motion_frames :] / scale).float().clamp(-1, 1).cpu().numpy()
        dropped = drop(frames, region, rng.uniform(size=region.shape[1:]).astype(np.float32), DROPPED)
        return self.vae.encode(self.tensor(dropped))[:, :channels].float() * scale

    def _told(
        self,
        i: int,
        window: int,
        portrait: np.ndarray,
        motion: np.ndarray,
        *,
        identity: float,
        sound: float = 1.0,
        mood: float = 1.0,
    ) -> Told:
        clip = self.clip(i)
        return Told(
            portrait=self.tensor(portrait),
            motion=self.tensor(motion),
            audio_tokens=sound * self.tokens(i, window),
            identity=identity * self.tensor(clip.identity)[None],
            face_region=self.tensor(clip.face_region).expand(1, 3, -1, -1),
            masks=self.masks(i),
            mood=mood * self.tensor(clip.mood)[None],
        )

    def clip(self, i: int) -> TalkingClip:
        return self.clips.load(self.numbers[i])

    def seen(self, i: int) -> Seen:
        return Seen.of(self._seen[i], self.cut)

    def frames(self, window: int) -> slice:
        """Which of a clip's frames a window has."""
        start = self.cut.starts[window]
        return slice(start, start + self.cut.window)

    def target(self, i: int, window: int = 0) -> Tensor:
        """A window's latents (F, 4, h, w), scaled as the loop's."""
        return self.tensor(self.seen(i).frames[self.frames(window)])

    def portrait(self, i: int) -> Tensor:
        """(1, 4, h, w)."""
        return self.tensor(self.seen(i).portrait)

    def tokens(self, i: int, window: int) -> Tensor:
        """(F, k, Da)."""
        return self.tensor(self._heard[i][int(self.clip(i).first) :][self.frames(window)])

    def masks(self, i: int) -> list[Tensor]:
        """(3, L_i) for each level."""
        side = self._seen[0].shape[-1]
        sizes = [(side >> level) ** 2 for level in range(self.talker.denoiser.config.top + 1)]
        return list(self.tensor(self.clip(i).masks).split(sizes, dim=1))

    def pictures(self, i: int, window: int) -> Tensor:
        """A window's pictures (F, 3, P, P) in [-1, 1]."""
        return self.tensor(planes(self.clip(i).pictures[self.frames(window)]))

    def mouth(self, i: int, window: int, *, side: int | None = None) -> Tensor:
        """How near each cell is to the mouth, (F, 1, h, w) from 0 to 1; `side`: each of so many squares [latents]."""
        return self._near(i, window, _MOUTH_POINTS, side)

    def eyes(self, i: int, window: int, *, side: int | None = None) -> Tensor:
        """How near each cell is to lids and brows, (F, 1, h, w) from 0 to 1; `side`: as of the mouth."""
        return self._near(i, window, _EYE_POINTS, side)

    def _near(self, i: int, window: int, features: Sequence[int], side: int | None) -> Tensor:
        cells = self._seen[0].shape[-1]
        side = cells if side is None else side
        points = self.clip(i).points[self.frames(window)][:, list(features)]
        places = self.tensor((points + 0.5) / (self.clips.px / side) - 0.5)
        return near(places, side, reach=side / cells)[:, None]

    def tensor(self, array: np.ndarray) -> Tensor:
        """In float32, where the run computes."""
        return torch.from_numpy(np.array(array, np.float32)).to(self.device)


class Asked(nn.Module):
    """What the mouth does, asked of the cells at the lips of the middle and of each level up: only sound knows it.

    At high noise a mouth that does not move is nearly right, and a net stays content with it: it hears its audio tokens
    when they alone pay. The questions are thrown away; what they taught stays.
    """

    def __init__(self, denoiser: DenoisingUNet) -> None:
        super().__init__()
        self._seen: dict[str, Tensor] = {}
        widths = denoiser.config.channels
        blocks: list[Any] = [denoiser.mid_block, *denoiser.up_blocks[1:]]
        self.questions = nn.ModuleDict()
        for number, (block, width) in enumerate(zip(blocks, (widths[-1], *widths[-2::-1]), strict=True)):
            norm = nn.GroupNorm(4, width, affine=False)
            self.questions[str(number)] = nn.Sequential(norm, nn.Conv1d(width, len(MOUTH), 1))
            block.motion_modules[-1].register_forward_hook(partial(_keep, self._seen, str(number)))

    def forward(self, masks: Sequence[Tensor], lips: Tensor) -> Tensor:
        """The loss of the net's last call, of its last F rows: `masks` (3, L_i), the lips (F, 4), normalised."""
        losses = []
        for name, question in self.questions.items():
            seen = self._seen.pop(name)[-len(lips) :]
            weight = next(mask[2] for mask in masks if mask.shape[1] == seen.shape[2]) + 1e-3
            said = (question(seen) * weight).sum(dim=2) / weight.sum()
            losses.append((said - lips).square().mean())
        return torch.stack(losses).mean()


def _keep(where: dict[str, Tensor], name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
    where[name] = output


class TalkPhase:
    """Both UNets, the face locator and the image projection: the `modules` that the windows are told by."""

    name = "talk"
    curves: tuple[str, ...] = ("loss", "pure", "mouth", "still", "changes", "asked")
    batches = 2
    learning_rate = 3e-4
    faster: Mapping[str, float] = {"audio_modules": 2.0}

    def __init__(self, modules: Modules, windows: TalkWindows, steps: int) -> None:
        torch.manual_seed(0)
        self.asked = Asked(windows.talker.denoiser).to(windows.device)
        self.modules: Modules = {**modules, "asked": self.asked}
        self.windows, self.steps = windows, steps
        self.moody = [i for i, number in enumerate(windows.numbers) if not windows.clips.is_calm(number)]
        self.shares = torch.from_numpy(ddim.alphas_cumprod()).float().to(windows.device)
        lips = np.concatenate([windows.clip(i).lips for i in range(min(50, len(windows.numbers)))])
        self.middle, self.spread = (windows.tensor(v) for v in (lips.mean(axis=0), lips.std(axis=0) + 1e-3))

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        windows = self.windows
        of = range(len(windows.numbers)) if rng.uniform() < _CALM or not self.moody else self.moody
        i, window = int(rng.choice(of)), int(rng.integers(len(windows.cut.starts)))
        silent, both = rng.uniform() < _SILENT, rng.uniform() < _BOTH
        told = windows.told(i, window, rng, silent=silent)
        target = windows.target(i, window)
        pure = rng.uniform() < _PURE_NOISE
        timestep = ddim.TRAINED_STEPS - 1 if pure else int(rng.integers(ddim.TRAINED_STEPS))
        share = self.shares[timestep]
        noise = torch.randn_like(target)
        noisy = share.sqrt() * target + (1 - share).sqrt() * noise
        wanted = share.sqrt() * noise - (1 - share).sqrt() * target
        at = torch.tensor([timestep], device=windows.device)
        with computing(windows.device):
            made = windows.talker.velocity(noisy, at, windows.talker.conditions(told, both=both))
        off = made.unflatten(0, (-1, len(target))) - wanted
        error, changes = off.square(), off.diff(dim=1).square()
        mouth = windows.mouth(i, window)
        weight = 1 + (_AT_MOUTH - 1) * mouth + (_AT_EYES - 1) * windows.eyes(i, window)
        losses = {"changes": (changes * weight[1:]).mean()}
        losses["loss"] = (error * weight).mean() + _CHANGES * losses["changes"]
        if not silent:
            lips = (windows.tensor(windows.clip(i).lips[windows.frames(window)]) - self.middle) / self.spread
            losses["asked"] = self.asked(told.masks, lips)
            losses["loss"] = losses["loss"] + _ASKED * (1 - step / self.steps) * losses["asked"]
        if pure and not silent:
            whole = mouth.sum() * target.shape[1]
            losses["pure"] = error[-1].mean()
            losses["mouth"] = (error[-1] * mouth).sum() / whole
            losses["still"] = ((target - windows.portrait(i)).square() * mouth).sum() / whole
        return losses

    def finish(self, modules: Modules) -> None:
        """The averaged networks are what is kept; nothing else to do."""


def computing(device: torch.device) -> AbstractContextManager:
    """On a CPU, attention as plain products: its fused kernel's gradient takes longer."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


@torch.no_grad()
def made_latents(talker: Talker, told: Told, noise: Tensor, *, steps: int, guidance: float = 1.0) -> Tensor:
    """A clip as the loop makes it of `noise` (F, 4, h, w): its latents, scaled as the loop's."""
    both = guidance != 1
    conditions, x = talker.conditions(told, both=both), noise
    of_x, of_v = ddim.coefficients(steps)
    for k, timestep in enumerate(ddim.timesteps(steps)):
        v = talker.velocity(x, torch.tensor([int(timestep)], device=x.device), conditions)
        if both:
            silent, heard = v.chunk(2)
            v = silent + guidance * (heard - silent)
        x = float(of_x[k]) * x + float(of_v[k]) * v
    return x
