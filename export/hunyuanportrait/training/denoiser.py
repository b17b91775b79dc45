"""The third phase: appearance, refiner and UNet together, on latents of windows as the loop will ask for them.

The loss is EDM's, in v: at noise level sigma, x = x0 + sigma e, the network is shown x / sqrt(sigma^2 + 1) and learns
v = sqrt(sigma^2 + 1) / sigma (x / (sigma^2 + 1) - x0) (SPEC 5, the inverse of its x0). Windows are cut from the ring
that the sampler walks, with its ramps and its wrap. Conditions are dropped at random for the guidance rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from engines.errors import InputError
from export.hunyuanportrait.networks.blocks import SpatioTemporalResBlock
from export.hunyuanportrait.networks.motion_refiner import MotionRefiner
from export.hunyuanportrait.networks.unet import Context, SpatioTemporalTransformer, StepEmbedding, UNet
from export.hunyuanportrait.training.autoencoder import near
from export.hunyuanportrait.training.auxiliary_losses import AuxiliaryLosses
from export.hunyuanportrait.training.clips import Clips, DrivingClip, normalised
from export.hunyuanportrait.training.initial_weights import ADDED_IDS
from export.hunyuanportrait.training.recorded import RecordedClip, RecordedClips
from export.hunyuanportrait.training.rows import PortraitFrame, TrainingRow, ring_window
from export.training.phase import Modules
from hp_trt.faces.arcface import ID_DIM
from hp_trt.hunyuanportrait.crops import transformed_image
from procedural.motion import NAMES
from runtime import schedule
from runtime.hunyuanportrait.guidance import Row, StepGuidance

_UNCONDITIONAL, _DROP_MOTION = 0.05, 0.05  # parts of the rows that learn without these conditions
# Of the steps, the first: frames as pictures of their own, without the layers along time, from what was drawn. After
# them from what the motion networks see: first mostly such pictures still, and some windows; in the end windows alone.
_PICTURES, _MIXED = 0.5, 0.43
_PICTURES_PER_WINDOW = 3
_WHOLE = 0.6  # of the last windows, as long as the preset's; the others are shorter, of more faces
_FRONTAL = 0.85  # of the portraits
_ERROR, _ERROR_DEG = 0.15, 1.0  # added to what is told
_HIGH = 0.6  # of the noise levels
_AUXILIARY = 0.5  # weight of what is asked besides; none is left in the last part
_EASY = 0.1  # what of the loss is left at vanishing noise, where an error hardly moves the picture


CONDITIONAL_ALONE = StepGuidance(rows=(Row.CONDITIONAL,), weights=np.ones(1, np.float32))


def learns_pictures(step: int, progress: float) -> bool:
    """Whether a step learns pictures, and not windows. `progress`: which part of the steps is done, from 0 to 1."""
    return progress < _PICTURES or (progress < _PICTURES + _MIXED and step % (_PICTURES_PER_WINDOW + 1) > 0)


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What R rows are told: image tokens (R, n, D), motion tokens (R, F, m, D), the portrait's latents (R, 4, h, w)."""

    tokens: Tensor
    motion: Tensor
    latents: Tensor

    def seen_by(self, row: Row) -> Conditions:
        """What a guidance row sees of them: zeros for the rest."""
        return Conditions(
            tokens=self.tokens * row.sees_portrait,
            motion=self.motion * row.sees_motion,
            latents=self.latents * row.sees_portrait,
        )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One batch: R rows of F frames, and what is to be said of them."""

    rows: Sequence[TrainingRow]
    latents: Tensor  # (R, F, C, h, w)
    sigma: Tensor  # (R, F) of pictures, (R, 1) of windows
    noisy: Tensor  # (R, F, C, h, w)
    velocity: Tensor  # (R, F, C, h, w)


class DenoiserPhase:
    """Rows of windows, each of its own clip and noise level.

    Of each of `numbers`, clips: latents (N, 4, h, w) float16, scaled as the loop's; features (N, E + 3) float32, what
    the motion networks say, degrees last. The UNet begins as a network of pictures, as the published one did: a step
    takes half of the time, and its faces differ more. The first part of the steps learns from the drawn states
    themselves, as the motion networks would say them if they were perfect, and needs no features.
    """

    name = "denoiser"
    curves: tuple[str, ...] = ("loss", "hints", "x0_high", "x0_middle", "x0_low")
    batches = 2
    learning_rate = 2e-3
    # Their turn comes late, when the rate is lower already.
    faster: Mapping[str, float] = {"temporal": 2.0, "time_mixer": 2.0, "time_pos_embed": 2.0}

    def __init__(
        self,
        modules: Modules,
        *,
        clips: Clips | RecordedClips,
        latents: Sequence[np.ndarray],
        features: Sequence[np.ndarray] | None,
        numbers: Sequence[int],
        steps: int,
        window: int,
        pad: int,
        scaling_factor: float,
        device: torch.device,
        cell_px: int = 8,
        appearance_px: int = 224,
        times: int = 1,
        importance: Tensor | None = None,
    ) -> None:
        """`times`: as many rows in a batch as are usual. `importance` (C,): what an error of a channel counts."""
        self.times, self.importance = times, 1.0 if importance is None else importance.reshape(-1, 1, 1)
        unet = cast(UNet, modules["unet"])
        self.auxiliary_losses = AuxiliaryLosses(unet, len(NAMES)).to(device)
        # "hints": their name in the states and curves of runs that earlier versions began.
        self.modules: Modules = {**modules, "hints": self.auxiliary_losses}
        self.clips, self.numbers = clips, numbers
        self.latents, self.features = latents, features
        self.steps, self.window, self.pad, self.device = steps, window, pad, device
        self.scaling_factor = scaling_factor
        self.cell_px, self.appearance_px = cell_px, appearance_px
        self.step_embedding = StepEmbedding(unet)

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        progress = step / self.steps
        asked = self.drawn(step, rng)
        picked, target, sigma, velocity = asked.rows, asked.latents, asked.sigma, asked.velocity
        rows, size, s = len(picked), target.shape[1], sigma[..., None, None, None]
        predicted = self.predict(asked.noisy, sigma, [row.portrait for row in picked], picked).float()
        points = torch.stack([row.points for row in picked]).flatten(0, 1)
        weight = near(points, target.shape[-1], reach=0.7).reshape(rows, size, 1, *target.shape[-2:])
        level = (s.square() + _EASY) / (s.square() + 1)
        error = (predicted - velocity).square()
        clean = error.mean(dim=(2, 3, 4)) * sigma.square() / (sigma.square() + 1)
        conditional = torch.tensor([row.sees is Row.CONDITIONAL for row in picked], device=self.device)
        losses = {"loss": (error * weight * level * self.importance).mean()}
        if (auxiliary := _AUXILIARY * max(0.0, 1 - progress / _PICTURES)) > 0:
            losses["hints"] = self._ask(picked, points, conditional)
            losses["loss"] = losses["loss"] + auxiliary * losses["hints"]
        # By noise level, for the curve: the squared error of x0, of conditional rows only.
        for name, low, high in (("high", 20, 1e9), ("middle", 0.5, 20), ("low", 0, 0.5)):
            chosen = ((sigma >= low) & (sigma < high) & conditional[:, None]).expand_as(clean)
            if chosen.any():
                losses[f"x0_{name}"] = clean[chosen].mean()
        return losses

    def drawn(self, step: int, rng: np.random.Generator) -> Asked:
        """What one batch of a step asks; the layers along time are left out where it asks for pictures."""
        progress = step / self.steps
        told, pictures = progress < _PICTURES, learns_pictures(step, progress)
        for module in self.modules["unet"].modules():
            if isinstance(module, SpatioTemporalResBlock | SpatioTemporalTransformer):
                module.along_time = not pictures
        # Short windows of many faces teach more than a long one of one face; the layers along time need both.
        whole = not pictures and rng.uniform() < _WHOLE * (progress - _PICTURES) / (1 - _PICTURES)
        size = self.window if whole else 5
        rows = self.times * (1 if whole else self.window // 5)
        picked = [self.row(rng, size, told=told, pictures=pictures) for _ in range(rows)]
        target = torch.stack([row.latents for row in picked])  # (R, F, 4, h, w)
        # Pictures have a noise level each, the frames of a window one: (R, F) or (R, 1).
        sigma = self._sigmas(rng, (rows, size if pictures else 1)).to(self.device)
        s = sigma[..., None, None, None]
        noisy = target + s * torch.randn_like(target)
        velocity = (s.square() + 1).sqrt() / s * (noisy / (s.square() + 1) - target)
        return Asked(rows=picked, latents=target, sigma=sigma, noisy=noisy, velocity=velocity)

    def _ask(self, rows: Sequence[TrainingRow], points: Tensor, asked: Tensor) -> Tensor:
        frames = points.shape[0] // len(rows)
        portrait = torch.stack([row.portrait.points for row in rows]).repeat_interleave(frames, dim=0)
        states = [row.states for row in rows if row.states is not None]
        assert len(states) == len(rows), "a denoiser is trained on drawn people alone: nobody knows other states"
        return self.auxiliary_losses(portrait, points, torch.cat(states), asked.float().repeat_interleave(frames))

    def predict(
        self, noisy: Tensor, sigma: Tensor, portraits: Sequence[PortraitFrame], rows: Sequence[TrainingRow]
    ) -> Tensor:
        """v (R, F, 4, h, w) of noisy latents of the same shape at sigma (R, 1), or of pictures at sigma (R, F)."""
        return self.velocity(self.modules["unet"], noisy, sigma, self.conditions(portraits, rows))

    def conditions(self, portraits: Sequence[PortraitFrame], rows: Sequence[TrainingRow]) -> Conditions:
        """What rows are told, by the frozen or learning networks beside the UNet."""
        images = torch.stack([portrait.image for portrait in portraits])
        identity = torch.stack([portrait.identity for portrait in portraits])
        with computing(self.device):
            tokens = self.modules["image_proj"](self.modules["appearance"](images, identity))
        condition = torch.stack([portrait.latents for portrait in portraits]) / self.scaling_factor
        sees_portrait = torch.tensor([row.sees.sees_portrait for row in rows], device=self.device).float()
        sees_motion = torch.tensor([row.sees.sees_motion for row in rows], device=self.device).float()
        motion = motion_tokens(cast(MotionRefiner, self.modules["motion_refiner"]), rows)
        return Conditions(
            tokens=tokens.float() * sees_portrait[:, None, None],
            motion=motion * sees_motion[:, None, None, None],
            latents=condition * sees_portrait[:, None, None, None],
        )

    def velocity(self, unet: nn.Module, noisy: Tensor, sigma: Tensor, told: Conditions) -> Tensor:
        """As `predict`, by another UNet of the same time embeddings."""
        frames, tokens, motion = noisy.shape[1], told.tokens, told.motion
        if sigma.shape[1] > 1:  # each picture is a row of its own
            tokens, motion = tokens.repeat_interleave(frames, dim=0), motion.flatten(0, 1)[:, None]
        scaled = noisy / (sigma[..., None, None, None].square() + 1).sqrt()
        beside = told.latents[:, None].expand(-1, frames, -1, -1, -1)
        sample = torch.cat([scaled, beside], dim=2).flatten(0, 1)
        ids = torch.tensor(ADDED_IDS, device=self.device)
        with computing(self.device):
            embedding = self.step_embedding(0.25 * sigma.flatten().log(), ids)
            v = unet(sample, embedding, Context(tokens, motion), motion.shape[1])
        return v.reshape(noisy.shape)

    def guided(self, unet: nn.Module, noisy: Tensor, sigma: Tensor, told: Conditions, guidance: StepGuidance) -> Tensor:
        """As `velocity`, by guidance rows one after the other: the sampler's own sum of them."""
        if guidance.rows == (Row.CONDITIONAL,):
            return self.velocity(unet, noisy, sigma, told)
        parts = [
            float(weight) * self.velocity(unet, noisy, sigma, told.seen_by(row)).float()
            for row, weight in zip(guidance.rows, guidance.weights, strict=True)
        ]
        return torch.stack(parts).sum(dim=0)

    def row(self, rng: np.random.Generator, size: int, *, told: bool = False, pictures: bool = False) -> TrainingRow:
        """A window of a random clip, or as many pictures of it, and the portrait they are made from."""
        i = int(rng.integers(len(self.latents)))
        latents, clip = self.latents[i], self.clips.load(self.numbers[i])
        if pictures:
            frames, ramps = rng.choice(len(latents), size), np.ones(size, np.float32)
        else:
            frames, ramps = ring_window(rng, clip=len(latents), pad=self.pad, size=size)
        # Nobody knows the states of people who were filmed; the phases that ask for them learn from drawn ones.
        states = clip.states[frames] if isinstance(clip, DrivingClip) else None
        features = self._features(i)[frames] if states is None or not told else self._told(states, rng)
        draw = rng.uniform()
        dropped = Row.DROP_MOTION if draw < _UNCONDITIONAL + _DROP_MOTION else Row.CONDITIONAL
        ids = np.clip(clip.ids + rng.integers(-4, 5, 2), 0, 127)
        return TrainingRow(
            latents=self._tensor(latents[frames]),
            features=self._tensor(features[:, :-3]),
            degrees=self._tensor(features[:, -3:]),
            points=self._cells(clip.points[frames]),
            states=None if states is None else self._tensor(normalised(states)),
            ramps=self._tensor(ramps),
            ids=torch.from_numpy(ids).to(self.device),
            sees=Row.UNCONDITIONAL if draw < _UNCONDITIONAL else dropped,
            # A clip's first frame looks at us, as portraits do.
            portrait=self.portrait_frame(i, 0 if rng.uniform() < _FRONTAL else int(rng.integers(len(latents)))),
        )

    def _told(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What the motion networks are taught to say of `states`, with a little of their error."""
        width = cast(MotionRefiner, self.modules["motion_refiner"]).connector.proj_in.in_features
        told = np.zeros((len(states), width + 3), np.float32)
        told[:, : states.shape[1]] = normalised(states)
        told[:, -3:] = states[:, :3]
        error = np.array([_ERROR] * width + [_ERROR_DEG] * 3, np.float32)
        return told + error * rng.normal(size=told.shape).astype(np.float32)

    def _features(self, clip: int) -> np.ndarray:
        if self.features is None:
            raise InputError("from here on the denoiser learns from what the motion networks see; train them first")
        return self.features[clip]

    def portrait_frame(self, clip: int, frame: int) -> PortraitFrame:
        """One frame as the portrait."""
        drawn = self.clips.load(self.numbers[clip])
        who = np.array(drawn.identities[frame]) if isinstance(drawn, RecordedClip) else np.zeros(ID_DIM, np.float32)
        return PortraitFrame(
            latents=self._tensor(self.latents[clip][frame]),
            image=self._tensor(transformed_image(np.array(drawn.pictures[frame]), self.appearance_px)),
            points=self._cells(drawn.points[frame]),
            identity=self._tensor(who),
        )

    @torch.no_grad()
    def make(self, clip: int, rng: np.random.Generator, steps: int, guidance: StepGuidance | None = None) -> np.ndarray:
        """A clip's first window as the loop makes it of its first frame: (F, 4, h, w) float16, scaled as the loop's.

        `guidance` of every step; None: the conditional row alone.
        """
        latents = self.latents[clip]
        row = self.window_row(clip, 0, self.window)
        sigmas = schedule.sigmas(steps)
        of_latents, of_velocity = schedule.euler_coefficients(sigmas)
        noise = rng.normal(size=(len(row.features), *latents.shape[1:]))
        x = self._tensor(latents[:1]) + float(sigmas[0]) * self._tensor(noise)
        told, unet = self.conditions([row.portrait], [row]), self.modules["unet"]
        for i in range(steps):
            sigma = torch.full((1, 1), float(sigmas[i]), device=self.device)
            velocity = self.guided(unet, x[None], sigma, told, guidance or CONDITIONAL_ALONE)[0].float()
            x = of_latents[i] * x + of_velocity[i] * velocity
        return x.cpu().numpy().astype(np.float16)

    def window_row(self, clip: int, first: int, size: int) -> TrainingRow:
        """A row of a clip's frames from `first` on, as the loop is told of them, its first frame being the portrait."""
        frames = np.arange(first, min(first + size, len(self.latents[clip])))
        return self.frames_row(clip, frames, np.ones(len(frames), np.float32), self.portrait_frame(clip, 0))

    def frames_row(self, clip: int, frames: np.ndarray, ramps: np.ndarray, portrait: PortraitFrame) -> TrainingRow:
        """A row of these frames (F,) of a clip, as the loop is told of them, with their motion's ramps (F,)."""
        drawn, features = self.clips.load(self.numbers[clip]), self._features(clip)[frames]
        return TrainingRow(
            latents=self._tensor(self.latents[clip][frames]),
            features=self._tensor(features[:, :-3]),
            degrees=self._tensor(features[:, -3:]),
            points=self._cells(drawn.points[frames]),
            states=None,
            ramps=self._tensor(ramps),
            ids=torch.from_numpy(np.array(drawn.ids)).to(self.device),
            sees=Row.CONDITIONAL,
            portrait=portrait,
        )

    def _cells(self, points: np.ndarray) -> Tensor:
        """Landmarks from pixels to latent cells."""
        return self._tensor((points + 0.5) / self.cell_px - 0.5)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array, np.float32)).to(self.device)

    def _sigmas(self, rng: np.random.Generator, shape: tuple[int, int]) -> Tensor:
        """EDM's bell over ln sigma, and nearly as much where the first steps are: all they have is the conditions."""
        bell = rng.normal(0.7, 1.2, shape)
        high = rng.uniform(np.log(5), np.log(schedule.SIGMA_MAX), shape)
        return torch.from_numpy(np.exp(np.where(rng.uniform(size=shape) < _HIGH, high, bell)).astype(np.float32))

    def finish(self, modules: Modules) -> None:
        """The averaged networks are what is kept; nothing else to do."""


def motion_tokens(refiner: MotionRefiner, rows: Sequence[TrainingRow]) -> Tensor:
    """(R, F, m, D): refined expression, degrees and zeros, faded by the ramps."""
    features = torch.stack([row.features for row in rows])
    ids = torch.stack([row.ids for row in rows])
    intensity = refiner.position_head(ids[:, 0]) + refiner.position_exp(ids[:, 1])
    # Every frame brings its row's intensity, so that all rows go through at once.
    by_frame = intensity[:, None].expand(-1, features.shape[1], -1).flatten(0, 1)
    refined = refiner.connector(features.flatten(0, 1), by_frame).float().unflatten(0, features.shape[:2])
    degrees = torch.stack([row.degrees for row in rows])
    pose = torch.cat([degrees, torch.zeros_like(degrees)], dim=-1)[:, :, None]
    tokens = torch.cat([refined, pose.expand(-1, -1, refined.shape[2], -1)], dim=-1)
    return tokens * torch.stack([row.ramps for row in rows])[..., None, None]


@contextmanager
def computing(device: torch.device) -> Iterator[None]:
    """On a CPU, attention as plain products in half precision: its fused kernel's gradient takes twice as long, and so
    do plain products in single precision. On any other device, the networks' constants on it: they make their
    frequencies where they are told."""
    if device.type != "cpu":
        with device:
            yield
        return
    may = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()  # of all devices, in spite of its place
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(may)
