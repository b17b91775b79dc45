"""A UNet of one to four steps, without guidance rows, distilled from one of many: consistency distillation.

The student says at each noise level where the teacher's whole way down ends. For a level s_i and the next lower s_j

    x_i = x0 + s_i n                                 latents of a clip and noise
    x_j = a x_i + b v_T(x_i, s_i)                    one Euler step of the teacher (runtime/schedule.py)
    y   = f(x_j, s_j), by the student's average      where the way from x_j ends; at s_j = 0 it is x_j
    L   = |f(x_i, s_i) - ((1 - m) y + m x0)|^2       more of it near the landmarks

with f(x, s) = x / (s^2 + 1) - v s / sqrt(s^2 + 1), which is x at s = 0: what the published parametrisation has by
itself, and consistency models ask for. The levels are those of the schedules of one to four steps, all of them: from
700, where every clip begins, to 0. With m = 0 it is Algorithm 2 of the source. The teacher is not perfect and the clips
are at hand, so they are a part m of what is learnt: at 700 the mean of what may be there is all that anybody can say,
and both are guesses of it, one with the teacher's error, one with the clip's own chance. The schedule of three steps
has the levels 700, 15.6 and 0.002, at the last of which nothing is left to learn.

There are not many clips, and a student of fewer layers than its teacher would learn them by heart. So at the first
level, where nothing can be seen of x0, half of the batches have portraits of other clips: nobody knows their x0, but
the teacher has an answer, f_T(x_i, s_i), and that is learnt. Of N clips there are N^2 such pairs.

A teacher that is guided where it is used (as the published one is, with scales of 2) is guided here: v_T is then the
sampler's sum of its rows, and the student learns it in one.

Time embeddings stay the teacher's: a bundle has one graph of them.
Source: Consistency Models (Song et al. 2023), Algorithm 2 and equation 5.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from export.hunyuanportrait.networks.blocks import SpatioTemporalResBlock
from export.hunyuanportrait.networks.unet import SpatioTemporalTransformer, UNet
from export.hunyuanportrait.training.autoencoder import near
from export.hunyuanportrait.training.denoiser import CONDITIONAL_ALONE, Conditions, DenoiserPhase, computing
from export.hunyuanportrait.training.rows import PortraitFrame
from export.training.gradient_checkpointing import checkpointed
from export.training.phase import Modules
from runtime import schedule
from runtime.hunyuanportrait.guidance import Row, StepGuidance

MOST_STEPS = 4
LEAST_FRAMES = 5  # of a batch
_OFTEN = {5: 0.4, 8: 0.45}  # windows of so many frames: live ones are short
_WHOLE = 0.15  # those of the preset's length
_FIRST = 0.6  # of the batches learn the level at which every clip begins
_STRANGERS = 0.5  # of these, with portraits of other clips
_CLIP = 0.5  # m
BLOCKS = (SpatioTemporalResBlock, SpatioTemporalTransformer)  # of the student, that checkpointing computes twice
_AVERAGING = 0.98  # a step, of the student that says where ways end: its own, and quicker than what is kept in the end


def levels(most_steps: int = MOST_STEPS) -> np.ndarray:
    """The noise levels of the schedules of 1 to `most_steps` steps, each once, falling from 700 to 0: float64."""
    every = np.concatenate([schedule.sigmas(steps) for steps in range(1, most_steps + 1)]).astype(np.float64)
    return np.unique(np.round(every, 6))[::-1]


def batch_sizes(window: int, most_frames: int) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Rows and frames of a batch, and how often each is drawn (a sum of 1): windows of 5, of 8 and of the preset's
    `window` frames that fit into `most_frames`, as many as do."""
    often = {frames: often for frames, often in {window: _WHOLE, **_OFTEN}.items() if frames <= most_frames}
    sizes = [(most_frames // frames, frames) for frames in sorted(often)]
    chances = np.array([often[frames] for _, frames in sizes])
    return sizes, chances / chances.sum()


def clean(noisy: Tensor, velocity: Tensor, sigma: float) -> Tensor:
    """f: the latents that an estimate means, of the shape of both."""
    return noisy / (sigma**2 + 1) - velocity * (sigma / (sigma**2 + 1) ** 0.5)


class StudentPhase:
    """`student` learns, where it is, what the UNet of `teacher` knows; all networks of the latter are frozen."""

    name = "student"
    curves: tuple[str, ...] = ("loss", "teacher", "first", "later", "strangers")
    batches = 1
    faster: Mapping[str, float] = {}

    def __init__(
        self,
        teacher: DenoiserPhase,
        student: UNet,
        *,
        steps: int,
        window: int = 25,
        most_frames: int = 25,
        learning_rate: float = 1e-3,
        guidance: StepGuidance = CONDITIONAL_ALONE,
        checkpointing: bool = False,
    ) -> None:
        """`window`: the preset's; `most_frames` of a batch. `guidance`: of the teacher, at every level."""
        self.teacher, self.steps = teacher, steps
        self.learning_rate, self.guidance, self.checkpointing = learning_rate, guidance, checkpointing
        self.sizes, self.often = batch_sizes(window, most_frames)
        for module in teacher.modules.values():
            module.eval().requires_grad_(False)
        self.student = student.train().requires_grad_(True)
        for frozen in (self.student.time_embedding, self.student.add_embedding):
            frozen.requires_grad_(False)
        self.modules: Modules = {"live_unet": self.student}
        self.levels = levels()
        self.average: nn.Module | None = None  # of the student; made by the first `follow`
        self._step = -1

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        self.follow(step)
        rows, frames = self.sizes[int(rng.choice(len(self.sizes), p=self.often))]
        picked = [replace(self.teacher.row(rng, frames), sees=Row.CONDITIONAL) for _ in range(rows)]
        last = len(self.levels) - 2  # 0.002, where f is x to a millionth
        i = 0 if rng.uniform() < _FIRST else int(rng.integers(1, last))
        strangers = i == 0 and rng.uniform() < _STRANGERS
        portraits = [self._stranger(rng) if strangers else row.portrait for row in picked]
        with torch.no_grad():
            target = torch.stack([row.latents for row in picked])
            told = self.teacher.conditions(portraits, picked)
            noisy = target + float(self.levels[i]) * torch.randn_like(target)
            if strangers:
                wanted = self.denoised(self.teacher.modules["unet"], noisy, i, told, self.guidance)
            else:
                end = self.end(noisy, i, told)
                wanted = (1 - _CLIP) * end + _CLIP * target
            weight = near(
                torch.stack([row.points for row in picked]).flatten(0, 1), target.shape[-1], reach=0.7
            ).reshape(rows, frames, 1, *target.shape[-2:])
        again = partial(computing, noisy.device)
        with checkpointed(self.student, BLOCKS, again) if self.checkpointing else nullcontext():
            made = self.denoised(self.student, noisy, i, told)
        # As v is learnt: at low levels x0 hardly moves with it.
        level = (self.levels[i] ** 2 + 1) / self.levels[i] ** 2
        losses = {"loss": ((made - wanted).square() * weight).mean() * level}
        if strangers:
            return losses | {"strangers": (made - wanted).square().mean()}
        return losses | {
            "teacher": (end - target).square().mean(),
            "first" if i == 0 else "later": (made - target).square().mean(),
        }

    def _stranger(self, rng: np.random.Generator) -> PortraitFrame:
        """The portrait of any clip."""
        return self.teacher.portrait_frame(int(rng.integers(len(self.teacher.numbers))), 0)

    def end(self, noisy: Tensor, i: int, told: Conditions) -> Tensor:
        """y of latents (R, F, 4, h, w) at level i: a step of the teacher, and from there as the student knows."""
        a, b = schedule.euler_coefficients(self.levels[i : i + 2])
        velocity = self.velocity(self.teacher.modules["unet"], noisy, i, told, self.guidance)
        lower = float(a[0]) * noisy + float(b[0]) * velocity
        if self.levels[i + 1] == 0:
            return lower
        assert self.average is not None
        return self.denoised(self.average, lower, i + 1, told)

    def denoised(
        self, unet: nn.Module, noisy: Tensor, i: int, told: Conditions, guidance: StepGuidance = CONDITIONAL_ALONE
    ) -> Tensor:
        """f of latents (R, F, 4, h, w) at level i, by this UNet."""
        return clean(noisy, self.velocity(unet, noisy, i, told, guidance), float(self.levels[i]))

    def velocity(
        self, unet: nn.Module, noisy: Tensor, i: int, told: Conditions, guidance: StepGuidance = CONDITIONAL_ALONE
    ) -> Tensor:
        sigma = torch.full((noisy.shape[0], 1), float(self.levels[i]), device=noisy.device)
        return self.teacher.guided(unet, noisy, sigma, told, guidance).float()

    def follow(self, step: int) -> None:
        """Once a step, the average moves towards the student; after a resumption it begins as the student."""
        if self.average is None:
            self.average = copy.deepcopy(self.student).eval().requires_grad_(False)
        elif step != self._step:
            with torch.no_grad():
                for kept, new in zip(self.average.parameters(), self.student.parameters(), strict=True):
                    kept.lerp_(new, 1 - _AVERAGING)
        self._step = step

    def finish(self, modules: Modules) -> None:
        """The averaged network is what is kept; nothing else to do."""
