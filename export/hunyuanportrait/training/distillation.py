"""All of distillation, in one folder that any of it resumes from: the networks of live mode from a bundle's weights.

As in `training.py`: clips/, latents/, features/, made/, a state, a curve and an end for each phase. The teacher's
networks lie there as the ends of the phases that trained them; of another teacher's weights nothing is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from engines.errors import InputError
from engines.fields import read_json
from engines.foreign import foreign
from export.hunyuanportrait.architecture import LIVE_NETWORKS
from export.hunyuanportrait.networks.tiny_decoder import TinyDecoder
from export.hunyuanportrait.networks.unet import UNet
from export.hunyuanportrait.networks.vae import VAE
from export.hunyuanportrait.presets import Preset
from export.hunyuanportrait.training.clips import Clips, as_planes
from export.hunyuanportrait.training.denoiser import CONDITIONAL_ALONE, Conditions, DenoiserPhase
from export.hunyuanportrait.training.frozen import LEAVES, FrozenNetworks
from export.hunyuanportrait.training.recorded import INDEX, RecordedClips
from export.hunyuanportrait.training.rollout import RolloutPhase, noise_levels, stream_frames
from export.hunyuanportrait.training.student import StudentPhase
from export.hunyuanportrait.training.thinning import thinned
from export.hunyuanportrait.training.tiny_decoder import CHUNK, TinyDecoderPhase, psnr
from export.training.files import new_file
from export.training.phase import Settings, Tell
from export.training.run import Run
from export.weights.packed import LiveWeights, write_weights
from export.weights.source import WeightsSource
from hp_trt.hunyuanportrait.profiles import find_profile
from procedural.clip import FIRST_TRAINING_SEED
from runtime import schedule
from runtime.hunyuanportrait.guidance import StepGuidance
from runtime.hunyuanportrait.sampling import Sampling
from runtime.live_windows import LiveWindows

LIVE_LEAVES = {"student": ("live_unet",), "tiny_decoder": ("tiny_decoder",)}  # as LEAVES, of live mode
_MAKES = {"live_unet": ("student",), "tiny_decoder": ("made", "decoded", "tiny_decoder")}  # network -> its stages
FIRST_HELD_OUT_SEED = FIRST_TRAINING_SEED + 500_000  # neither training nor distillation draws them


@dataclass(frozen=True, kw_only=True)
class DistillAmounts:
    """How much of everything. The defaults are those of the shipped weights, whose card tells what differed."""

    clips: int = 400
    frames: int = 32  # of a clip
    student_steps: int = 1700
    batch_frames: int = 25  # most frames of a batch of the student's
    student_rate: float = 1e-3  # of learning, at its peak
    checkpointing: bool = False  # the student's blocks are computed twice, in less memory
    rollout: int = 0  # windows of live mode that the student makes to learn from, at most; 0: it does not
    rollout_steps: int = 600
    rollout_rate: float = 3e-4  # of learning, at its peak
    made: int = 32  # of the clips, made by the teacher for the tiny decoder to learn from
    decoder_steps: int = 3600
    held_out: int = 6  # clips, to measure with
    workers: int = 1  # processes that draw
    varied: float = 0.0  # the share of drawn people who are drawn with variety


class Distillation:
    """Distilling a preset's weights, on `recorded` clips or on drawn ones, of `first_seed`."""

    def __init__(
        self,
        preset: Preset,
        amounts: DistillAmounts,
        settings: Settings,
        weights: WeightsSource,
        *,
        first_seed: int = FIRST_TRAINING_SEED,
        recorded: RecordedClips | None = None,
        live: LiveWeights | None = None,
    ) -> None:
        """`live`: networks that are complete from the start; they are not learnt here.

        Raises InputError for a folder that is another run's, and a rollout that is longer than the clips.
        """
        self.preset, self.amounts, self.settings = preset, amounts, settings
        self.weights, self.recorded, self.live = weights, recorded, live
        _check_rollout(amounts)
        self.run = Run(settings, LIVE_NETWORKS)
        drawn = Clips(
            folder=settings.folder / "clips",
            count=amounts.clips,
            frames=amounts.frames,
            px=preset.size,
            motion_px=preset.motion_px,
            seed=first_seed,
            varied=amounts.varied,
        )
        if recorded is None:
            drawn.check_share()
        if recorded is None and (drawn.folder / INDEX).exists():
            raise InputError(f"{settings.folder} is a run on videos; give --videos again, or another folder")
        self.clips: Clips | RecordedClips = drawn if recorded is None else recorded
        self.frozen = FrozenNetworks(preset, self.run, self.clips)
        self.sampling = Sampling.from_manifest(preset.sampling)
        self._unpack()

    def _unpack(self) -> None:
        """The teacher's networks, as the phases that trained them would have left them; so those that are there."""
        teacher = {n: self.weights.fingerprint(n) for names in LEAVES.values() for n in names}
        self._belongs("teacher.json", teacher, LEAVES, "another teacher's weights", "a run of export.train")
        self._leave(self.weights, LEAVES)
        if self.live is None:
            if (self.settings.folder / "live.json").exists():
                raise InputError(f"{self.settings.folder} is a run with live weights; give --live-weights again")
            return
        given = {phase: names for phase, names in LIVE_LEAVES.items() if set(names) <= set(self.live.networks)}
        known = {name: self.live.fingerprint(name) for names in given.values() for name in names}
        self._belongs("live.json", known, given, "other live weights", "a run that learns its own live weights")
        self._leave(self.live, given)

    def _belongs(
        self, file: str, known: Mapping[str, str], phases: Mapping[str, Sequence[str]], others: str, foreigners: str
    ) -> None:
        """Note whose weights this run has. Raises InputError where it has other ones, or made its own in `phases`."""
        path = self.settings.folder / file
        if path.exists():
            with foreign(f"{path} is damaged", "give the run another folder"):
                found = read_json(path, most_bytes=1 << 20).found
            if found != known:
                raise InputError(f"{path.parent} is a run with {others}; give the run another folder")
        elif any(self.run.has_begun(phase) for phase in phases):
            raise InputError(f"{path.parent} is {foreigners}; give the run another folder")
        with new_file(path) as written:  # first: ends without it are another run's
            written.write(json.dumps(known).encode())

    def _leave(self, source: WeightsSource | LiveWeights, phases: Mapping[str, Sequence[str]]) -> None:
        for phase, names in phases.items():
            if not self.run.has_ended(phase):
                self.run.leave(phase, {name: dict(source.state(name)) for name in names})

    def stages(self) -> dict[str, Callable[[Tell], bool | None]]:
        """What comes between the clips and the weights, in its order: False of a phase that has not ended.

        Nothing for a network that is given, and no rollout of no windows.
        """
        needless = [] if self.amounts.rollout else ["rollout"]
        for network in () if self.live is None else self.live.networks:
            needless += _MAKES[network]
        every: dict[str, Callable[[Tell], bool | None]] = {
            "latents": self.frozen.latents,
            "features": self.frozen.features,
            "student": self.student,
            "rollout": self.rollout,
            "made": self.made,
            "decoded": self.decoded,
            "tiny_decoder": self.tiny_decoder,
        }
        return {name: act for name, act in every.items() if name not in needless}

    def note(self) -> str:
        """What a user should know of the clips, "" for nothing."""
        return "" if self.recorded is None else self.recorded.note()

    def draw(self, tell: Tell) -> None:
        """Every clip, on disk. Raises InputError for videos without clips."""
        for done in self.clips.draw_missing(self.amounts.workers):
            tell("clips", done, self.clips.count, {})

    def student(self, tell: Tell) -> bool:
        """The UNet of few steps; True when it is complete."""
        teacher, architecture = self._teacher(), self.preset.architecture
        student = cast(UNet, architecture.build("live_unet", device="cpu"))
        known = thinned(teacher.modules["unet"].state_dict(), architecture.unet, architecture.live_unet)
        student.load_state_dict(known)
        phase = StudentPhase(
            teacher,
            student.to(self.settings.device),
            steps=self.amounts.student_steps,
            window=self.preset.frames,
            most_frames=self.amounts.batch_frames,
            learning_rate=self.amounts.student_rate,
            guidance=self._guidance,
            checkpointing=self.amounts.checkpointing,
        )
        return self.run.train(phase, tell)

    def rollout(self, tell: Tell) -> bool:
        """The same UNet on its own windows of live mode; True when it is complete."""
        phase = RolloutPhase(
            self._teacher(),
            cast(UNet, self.frozen.network("student", "live_unet")),
            windows=live_windows(),
            most_windows=self.amounts.rollout,
            steps=self.amounts.rollout_steps,
            most_frames=self.amounts.batch_frames,
            learning_rate=self.amounts.rollout_rate,
            guidance=self._guidance,
            checkpointing=self.amounts.checkpointing,
        )
        return self.run.train(phase, tell)

    def made(self, tell: Tell) -> None:
        """Some clips as the teacher makes them, in one step and in its own by turns."""
        phase = self._teacher()
        several = self.sampling.steps

        def make(number: int) -> np.ndarray:
            with torch.autocast(self.settings.device.type, torch.bfloat16, enabled=self.settings.half):
                place = phase.numbers.index(number)
                return phase.make(place, np.random.default_rng(number), 1 if place % 2 else several, self._guidance)

        self.run.see("made", "denoiser", make, self._some(), tell)

    def decoded(self, tell: Tell) -> None:
        """What was made, as the full decoder shows it: (F', H, W, 3) uint8, whole chunks."""
        vae = cast(VAE, self.frozen.network("autoencoder", "vae"))

        def decode(number: int) -> np.ndarray:
            made = self.run.seen("made", "denoiser", [number])[0]
            whole = len(made) // CHUNK * CHUNK
            return np.concatenate([self.decode(vae, made[i : i + CHUNK]) for i in range(0, whole, CHUNK)])

        self.run.seen("made", "denoiser", self._some())  # says what is missing
        self.run.see("decoded", "denoiser", decode, self._some(), tell)

    def tiny_decoder(self, tell: Tell) -> bool:
        """The decoder of live mode; True when it is complete."""
        numbers = self.frozen.numbers()
        torch.manual_seed(self.settings.seed)
        decoder = cast(TinyDecoder, self.preset.architecture.build("tiny_decoder", device="cpu"))
        phase = TinyDecoderPhase(
            decoder.to(self.settings.device).train(),
            clips=self.clips,
            latents=self.frozen.seen_latents(numbers),
            made=self.run.seen("made", "denoiser", self._some()),
            decoded=self.run.seen("decoded", "denoiser", self._some()),
            numbers=numbers,
            steps=self.amounts.decoder_steps,
            device=self.settings.device,
        )
        return self.run.train(phase, tell)

    def write(self, path: Path) -> None:
        """The averaged weights of what is complete, as one file of half precision."""
        states: dict[str, Mapping[str, torch.Tensor]] = {}
        for phase in ("student", "rollout", "tiny_decoder"):  # the second one's UNet takes the first one's place
            if self.run.has_ended(phase):
                states |= self.run.end(phase)
        if not states:
            raise InputError(f"neither the student nor the tiny decoder is complete in {self.settings.folder} yet")
        write_weights(
            path,
            {name: states[name] for name in LIVE_NETWORKS if name in states},
            preset=self.preset.name,
            teacher=self.weights.fingerprint("unet"),
        )

    def measure(self, tell: Tell) -> dict[str, float]:
        """Errors on clips that nobody has learnt from, every window of CHUNK frames from noise.

        "x0_*": the mean squared error of latents, scaled as the loop's, against the clip's; "psnr_*": dB of frames.
        "student_*" and "tiny_*" are there when these networks are.
        """
        held = Distillation(
            self.preset,
            replace(self.amounts, clips=self.amounts.held_out),
            replace(self.settings, folder=self.settings.folder / "held_out"),
            self.weights,
            first_seed=FIRST_HELD_OUT_SEED,
            recorded=None if self.recorded is None else replace(self.recorded, held=True),
        )
        held.draw(tell)
        held.frozen.latents(tell)
        held.frozen.features(tell)
        student = self._complete("rollout", "live_unet") or self._complete("student", "live_unet")
        tiny = self._complete("tiny_decoder", "tiny_decoder")
        teacher, vae = held._teacher(), cast(VAE, held.frozen.network("autoencoder", "vae"))
        unets = {"teacher": cast(UNet, teacher.modules["unet"])}
        if student is not None:
            unets["student"] = cast(UNet, student)
        sums: dict[str, list[float]] = {}
        for clip, number in enumerate(teacher.numbers):
            rng = np.random.default_rng([self.settings.seed, number])
            for first in range(0, held.amounts.frames - CHUNK + 1, CHUNK):
                found = held._window(teacher, unets, clip, first, rng, vae, cast("TinyDecoder | None", tiny))
                for name, value in found.items():
                    sums.setdefault(name, []).append(value)
            tell("measure", clip + 1, len(teacher.numbers), {})
        return {name: round(float(np.mean(values)), 5) for name, values in sums.items()}

    @torch.no_grad()
    def _window(
        self,
        teacher: DenoiserPhase,
        unets: Mapping[str, UNet],
        clip: int,
        first: int,
        rng: np.random.Generator,
        vae: VAE,
        tiny: TinyDecoder | None,
    ) -> dict[str, float]:
        row = teacher.window_row(clip, first, CHUNK)
        true = row.latents
        told = teacher.conditions([row.portrait], [row])
        noise = torch.from_numpy(rng.normal(size=true.shape).astype(np.float32)).to(true.device)
        pictures = self.clips.load(teacher.numbers[clip]).pictures[first : first + CHUNK]
        shown = as_planes(np.array(pictures), true.device) * 2 - 1
        found = {"x0_portrait": float((row.portrait.latents[None] - true).square().mean())}
        for name, unet in unets.items():
            for evaluations in (1, 2):
                guidance = self._guidance if name == "teacher" else CONDITIONAL_ALONE
                made = denoise(teacher, unet, told, float(schedule.SIGMA_MAX) * noise, evaluations, guidance)
                found[f"x0_{name}_{evaluations}"] = float((made - true).square().mean())
                full = vae.decode(made / vae.config.scaling_factor)
                found[f"psnr_{name}_{evaluations}"] = float(psnr(full.clamp(-1, 1), shown))
                if tiny is not None:
                    small = tiny(made).clamp(-1, 1)
                    found[f"psnr_{name}_{evaluations}_tiny"] = float(psnr(small, shown))
                    found[f"psnr_{name}_{evaluations}_tiny_to_full"] = float(psnr(small, full.clamp(-1, 1)))
        return found

    @torch.no_grad()
    def decode(self, vae: VAE, latents: np.ndarray) -> np.ndarray:
        """One chunk (f, 4, h, w), scaled as the loop's -> (f, H, W, 3) uint8."""
        scaled = torch.from_numpy(latents.astype(np.float32)).to(self.settings.device) / vae.config.scaling_factor
        with torch.autocast(self.settings.device.type, torch.bfloat16, enabled=self.settings.half):
            frames = vae.decode(scaled).float()
        return ((frames.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()

    def _teacher(self) -> DenoiserPhase:
        """The trained denoiser's phase, as a source of rows and of their conditions; frozen."""
        networks = {name: module.to(self.settings.device) for name, module in self.frozen.networks("denoiser").items()}
        phase = self.frozen.denoiser_phase(networks, steps=1)
        for module in phase.modules.values():
            module.eval().requires_grad_(False)
        return phase

    @property
    def _guidance(self) -> StepGuidance:
        """Of the teacher: what the sampler begins with. A student learns one, so a ramp is its beginning."""
        return self.sampling.guidance()[0]

    def _some(self) -> list[int]:
        return self.frozen.numbers()[: self.amounts.made]

    def _complete(self, phase: str, network: str) -> torch.nn.Module | None:
        return self.frozen.network(phase, network) if self.run.has_ended(phase) else None


def live_windows() -> LiveWindows:
    """Those of the profile live, which is what a student's windows are rolled out for."""
    windows = find_profile("live").windows
    assert windows is not None
    return windows


def _check_rollout(amounts: DistillAmounts) -> None:
    """Raises InputError for a rollout that is longer than the clips."""
    needed = stream_frames(live_windows(), amounts.rollout)
    if needed > amounts.frames:
        raise InputError(
            f"a rollout of {amounts.rollout} windows takes {needed} frames, clips have {amounts.frames}; lower "
            "--rollout, or draw longer clips with --frames"
        )


def denoise(
    teacher: DenoiserPhase,
    unet: UNet,
    told: Conditions,
    noisy: torch.Tensor,
    evaluations: int,
    guidance: StepGuidance = CONDITIONAL_ALONE,
) -> torch.Tensor:
    """Latents (F, 4, h, w) from noise of SIGMA_MAX, in so many evaluations."""
    sigmas = noise_levels(evaluations)
    of_latents, of_velocity = schedule.euler_coefficients(sigmas)
    x = noisy
    for i in range(evaluations):
        sigma = torch.full((1, 1), float(sigmas[i]), device=x.device)
        velocity = teacher.guided(unet, x[None], sigma, told, guidance)[0].float()
        x = float(of_latents[i]) * x + float(of_velocity[i]) * velocity
    return x
