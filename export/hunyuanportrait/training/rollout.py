"""A student that learns on its own rollout: from what live mode makes of it, window after window.

Distillation (`student.py`) shows the student windows that begin from noise as a whole. Those of live mode do not: their
first frames are the last ones of the window before, with all that was wrong with these. So here the student makes the
windows of a stream as live mode does (`runtime/hunyuanportrait/live.py`), some of them, and learns from the last one as
it leaves:

    Y    its new frames, joined to the window before
    W    (1 - m) f_T(x, s) + m x0        what the teacher answers where the student's own last step began, and the clip
    L =  |Y - W|^2                       more of it near the landmarks
       + |d(Y - x0)|^2                   d: a frame less the one before, the first one less the last tied one: a seam
       + |P(Y - x0) - P(A - a0)|^2       P: the means of a few regions. A: the anchor, which is the stream's first frame
                                         as the student made it; a0: as it is in the clip. It pins colours and shading:
                                         from there on they may change as the clip's own do, and in no other way

Gradients end where the window begins. As in `student.py`, half of the batches at the first level have portraits of
other clips, and what the teacher makes of them is all that is learnt of these. The anchor is in the loss alone: the
graphs' inputs stay as they are.

Source: Self Forcing (Huang et al. 2025) for learning on the student's own windows with gradients through a few of them;
the anchor is our own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.hunyuanportrait.networks.unet import UNet
from export.hunyuanportrait.training.autoencoder import near
from export.hunyuanportrait.training.denoiser import CONDITIONAL_ALONE, Conditions, DenoiserPhase, computing
from export.hunyuanportrait.training.rows import TrainingRow
from export.hunyuanportrait.training.student import BLOCKS, clean
from export.training.gradient_checkpointing import checkpointed
from export.training.phase import Modules
from runtime import schedule
from runtime.hunyuanportrait.guidance import StepGuidance
from runtime.live_windows import LiveWindows

_OFTEN = {1: 0.8, 2: 0.2}  # evaluations of a window: live mode's own, and so many that later levels are not forgotten
_STRANGERS = 0.5  # of the batches of one evaluation, with portraits of other clips
_CLIP = 0.5  # m
_REGIONS = 4  # of P, along each side

Velocity = Callable[[int, Tensor], Tensor]  # of a step, latents (R, F, 4, h, w) -> v of the same shape


def noise_levels(evaluations: int) -> np.ndarray:
    """The noise levels of so many evaluations, and a last 0: (evaluations + 1,) float32.

    The released schedule of one step more, without its last level, which is next to nothing.
    """
    return schedule.without_last(schedule.sigmas(evaluations + 1), 1)


def stream_places(windows: LiveWindows, count: int, clip: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T,) of a clip of `clip` frames that so many windows are made of, in order, and their motion's ramps (T,).

    The stream begins with frame `first`; made-up frames, which fade in, stand before it.
    """
    frames = stream_frames(windows, count)
    if not 0 <= first <= clip - frames:
        raise ValueError(f"{count} windows take {frames} frames from {first} on, the clip has {clip}")
    lead = windows.lead_in
    places = np.concatenate([np.full(lead, first), first + np.arange(frames)])
    ramps = np.concatenate([np.arange(lead) / max(lead, 1), np.ones(frames)])
    return places, ramps.astype(np.float32)


def stream_frames(windows: LiveWindows, count: int) -> int:
    """How many frames of a clip so many windows take."""
    return sum(windows.new_frames(number) for number in range(count))


class LiveStream:
    """The live loop in PyTorch: windows of R streams at once, one after the other.

    `sigmas` as of `Sampling.sigmas`: the noise level before each step, and a last 0.
    """

    def __init__(self, windows: LiveWindows, sigmas: np.ndarray) -> None:
        self.windows, self.sigmas = windows, sigmas
        self._of_latents, self._of_velocity = schedule.euler_coefficients(sigmas)
        self._tied: list[Tensor] = []  # of the window before, (R, O, 4, h, w): before every step, and in the end

    @property
    def wanted(self) -> int:
        """How many frames of noise the next window takes."""
        return self.windows.size - self._overlap

    @property
    def _overlap(self) -> int:
        return self.windows.overlap if self._tied else 0

    def window(self, velocity: Velocity, start: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The next window's latents (R, F, 4, h, w), tied frames first, and what its last step began with.

        start (R, 1, 4, h, w): the portraits' latents, scaled as the loop's; noise (R, `wanted`, 4, h, w), unit normal.
        No gradient leads to the windows before.
        """
        overlap, before = self._overlap, self._tied
        x = begun = start + float(self.sigmas[0]) * noise
        if before:
            x = torch.cat([before[0], x], dim=1)
        after = []
        for step in range(len(self._of_latents)):
            begun = x = self._tie(x, before, step)
            after.append(self._kept(x))
            x = float(self._of_latents[step]) * x + float(self._of_velocity[step]) * velocity(step, x)
        if overlap:
            x = self._joined(x, before[-1])
        x = self._tie(x, before, len(self._of_latents))
        self._tied = [*after, self._kept(x)]
        return x, begun

    def _joined(self, x: Tensor, finished: Tensor) -> Tensor:
        """The new frames without the step that the last tied one would have made, of it less from frame to frame."""
        overlap = self.windows.overlap
        new = self.windows.size - overlap
        given = 1 - torch.arange(1, new + 1, device=x.device) / (new + 1)
        step = finished[:, -1:] - x[:, overlap - 1 : overlap]
        return torch.cat([x[:, :overlap], x[:, overlap:] + given[:, None, None, None] * step], dim=1)

    def _tie(self, x: Tensor, before: list[Tensor], step: int) -> Tensor:
        return torch.cat([before[step], x[:, self.windows.overlap :]], dim=1) if before else x

    def _kept(self, x: Tensor) -> Tensor:
        return x[:, self.windows.size - self.windows.overlap :].detach()


@dataclass(frozen=True, kw_only=True)
class _Reached:
    """The last window of a rollout of R streams."""

    made: Tensor  # (R, F, 4, h, w), tied frames first: what the student learns from
    begun: Tensor  # (R, F, 4, h, w): what its last step began with
    told: Conditions
    clip: Tensor  # (R, F, 4, h, w): the same frames of the clip
    points: Tensor  # (R, F, K, 2): landmarks in latent cells
    tied: int  # frames of the window before
    first: int  # where the new frames begin
    anchor: Tensor  # (R, 4, h, w): what the student missed of the streams' first frames


class RolloutPhase:
    """`student`, which is distilled, learns on its own windows of live mode; all networks of `teacher` are frozen."""

    name = "rollout"
    curves: tuple[str, ...] = ("loss", "teacher", "clip", "seam", "anchor", "strangers")
    batches = 1
    faster: Mapping[str, float] = {}

    def __init__(
        self,
        teacher: DenoiserPhase,
        student: UNet,
        *,
        windows: LiveWindows,
        most_windows: int,
        steps: int,
        most_frames: int = 25,
        learning_rate: float = 3e-4,
        guidance: StepGuidance = CONDITIONAL_ALONE,
        checkpointing: bool = False,
    ) -> None:
        """`most_windows` of a rollout, which has 1 to so many; `most_frames` of a batch of windows. `guidance`: of the
        teacher."""
        self.teacher, self.windows, self.most_windows, self.steps = teacher, windows, most_windows, steps
        self.rows = max(1, most_frames // windows.size)
        self.learning_rate, self.guidance, self.checkpointing = learning_rate, guidance, checkpointing
        for module in teacher.modules.values():
            module.eval().requires_grad_(False)
        self.student = student.train().requires_grad_(True)
        for frozen in (student.time_embedding, student.add_embedding):
            frozen.requires_grad_(False)
        self.modules: Modules = {"live_unet": student}

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        evaluations = int(rng.choice(list(_OFTEN), p=list(_OFTEN.values())))
        strangers = evaluations == 1 and rng.uniform() < _STRANGERS
        count = 1 + int(rng.integers(self.most_windows))
        sigmas = noise_levels(evaluations)
        reached = self._roll_out([self._row(rng, count, stranger=strangers) for _ in range(self.rows)], count, sigmas)
        new = slice(reached.first, None)
        made, clip = reached.made[:, new], reached.clip[:, new]
        answer = self._answer(reached, sigmas)[:, new]
        weight = near(reached.points[:, new].flatten(0, 1), clip.shape[-1], reach=0.7)
        weight = weight.reshape(*made.shape[:2], 1, *made.shape[-2:])
        wanted = answer if strangers else (1 - _CLIP) * answer + _CLIP * clip
        error = ((made - wanted).square() * weight).mean()
        if strangers:
            return {"loss": error, "strangers": (made - answer).square().mean().detach()}
        missed = reached.made - reached.clip
        # A first window has no frame before its first one that anybody sees.
        seam = missed[:, reached.first - bool(reached.tied) :].diff(dim=1).square().mean()
        drift = (regions(missed[:, new]) - regions(reached.anchor[:, None])).square().mean()
        return {
            "loss": error + seam + drift,
            "teacher": (answer - clip).square().mean(),
            "clip": missed[:, new].square().mean().detach(),
            "seam": seam.detach(),
            "anchor": drift.detach(),
        }

    def _row(self, rng: np.random.Generator, count: int, *, stranger: bool) -> TrainingRow:
        """A piece of a random clip, as long as `count` windows, for its own portrait or any other clip's."""
        teacher = self.teacher
        clip, whose = (int(rng.integers(len(teacher.numbers))) for _ in range(2))
        frames = len(teacher.latents[clip])
        first = int(rng.integers(frames - stream_frames(self.windows, count) + 1))
        places, ramps = stream_places(self.windows, count, frames, first)
        return teacher.frames_row(clip, places, ramps, teacher.portrait_frame(whose if stranger else clip, 0))

    def _roll_out(self, rows: Sequence[TrainingRow], count: int, sigmas: np.ndarray) -> _Reached:
        """The last of `count` windows of these streams; the others come without gradients."""
        with torch.no_grad():
            told = self.teacher.conditions([row.portrait for row in rows], rows)
        start = torch.stack([row.portrait.latents for row in rows])[:, None]
        whole = torch.stack([row.latents for row in rows])
        stream, anchor = LiveStream(self.windows, sigmas), None
        for number in range(count):
            tied = self.windows.overlap if number else 0
            first = number * (self.windows.size - self.windows.overlap)
            window = slice(first, first + self.windows.size)
            seen = replace(told, motion=told.motion[:, window])
            noise = torch.randn(len(rows), stream.wanted, *whole.shape[2:], device=whole.device)
            with self._learning() if number == count - 1 else torch.no_grad():
                made, begun = stream.window(partial(self._velocity, self.student, seen, sigmas), start, noise)
            if anchor is None:
                anchor = (made - whole[:, window])[:, self.windows.lead_in].detach()
        assert anchor is not None
        return _Reached(
            made=made,
            begun=begun.detach(),
            told=seen,
            clip=whole[:, window],
            points=torch.stack([row.points for row in rows])[:, window],
            tied=tied,
            first=tied if count > 1 else self.windows.lead_in,
            anchor=anchor,
        )

    @torch.no_grad()
    def _answer(self, reached: _Reached, sigmas: np.ndarray) -> Tensor:
        """The teacher's, where the student's last step began: the latents that it sees there."""
        last = len(sigmas) - 2
        velocity = self._velocity(self.teacher.modules["unet"], reached.told, sigmas, last, reached.begun)
        return clean(reached.begun, velocity, float(sigmas[last]))

    def _velocity(self, unet: nn.Module, told: Conditions, sigmas: np.ndarray, step: int, noisy: Tensor) -> Tensor:
        sigma = torch.full((noisy.shape[0], 1), float(sigmas[step]), device=noisy.device)
        guidance = CONDITIONAL_ALONE if unet is self.student else self.guidance
        return self.teacher.guided(unet, noisy, sigma, told, guidance).float()

    def _learning(self) -> AbstractContextManager:
        """While the student makes the window that it learns from."""
        again = partial(computing, next(self.student.parameters()).device)
        return checkpointed(self.student, BLOCKS, again) if self.checkpointing else nullcontext()

    def finish(self, modules: Modules) -> None:
        """The averaged network is what is kept; nothing else to do."""


def regions(latents: Tensor) -> Tensor:
    """P: the means of a few regions of (R, F, 4, h, w)."""
    return F.adaptive_avg_pool2d(latents.flatten(0, 1), _REGIONS).unflatten(0, latents.shape[:2])
