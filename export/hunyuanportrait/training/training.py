"""All of training, phase after phase, in one folder that any of it resumes from.

- clips/, drivers/: what is drawn;
- linear, autoencoder, motion, denoiser, decoder: a state, a curve and an end of each phase (`export/training/run.py`);
- latents/, features/: what autoencoder and motion make of every clip, the denoiser's data;
- fit: the UNet as a run that began with other latents goes on;
- made/: what the denoiser makes of some of them, the decoder's data;
- pocket.safetensors: the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from engines.errors import InputError
from export.hunyuanportrait.architecture import NETWORKS
from export.hunyuanportrait.networks.expression import Expression
from export.hunyuanportrait.networks.head_pose import HeadPose
from export.hunyuanportrait.networks.unet import UNet
from export.hunyuanportrait.networks.vae import VAE
from export.hunyuanportrait.presets import Preset
from export.hunyuanportrait.training.autoencoder import Autoencoder
from export.hunyuanportrait.training.begun import begun_architecture, fitted_unet
from export.hunyuanportrait.training.clips import Clips, DrivingClips
from export.hunyuanportrait.training.decoder import DecoderPhase
from export.hunyuanportrait.training.denoiser import DenoiserPhase
from export.hunyuanportrait.training.frozen import LEAVES, FrozenNetworks, ready_numbers
from export.hunyuanportrait.training.initial_weights import with_initial_weights
from export.hunyuanportrait.training.linear import LinearPhase
from export.hunyuanportrait.training.motion import MotionNetworks
from export.hunyuanportrait.weights import open_source
from export.training.data_parallel import Share, data_parallel
from export.training.phase import Settings, Tell, train
from export.training.run import Run
from export.weights.packed import write_weights
from export.weights.source import WeightsSource
from runtime.hunyuanportrait.sampling import Sampling

_MOMENTS = 8  # of a driving clip


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much of everything. The defaults are those of the shipped weights, whose card tells what differed."""

    clips: int = 2400
    frames: int = 32  # of a clip
    driving_clips: int = 4000  # for the motion networks, of _MOMENTS frames each
    linear_steps: int = 1500
    autoencoder_steps: int = 2600
    motion_steps: int = 17000
    denoiser_steps: int = 5250
    made: int = 600  # of the clips, made by the denoiser for the decoder to learn from
    decoder_steps: int = 600
    workers: int = 1  # processes that draw, and on a CPU share the batches of the last phases
    varied: float = 0.0  # the share of the people who are drawn with variety
    pictures: float = 0.0  # the share of the autoencoder's pictures that are no faces
    still: float = 0.0  # the share of the clips that are such a picture, which nobody moves
    rows: int = 1  # times as many in a batch, of all phases but the last
    begin: Path | None = None  # weights that all networks begin with; None: the plain answers of initial_weights.py

    def __post_init__(self) -> None:
        for name in ("varied", "pictures", "still"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"--{name} is a share, 0 to 1, got {getattr(self, name)}")


class Training:
    """Training of a preset."""

    def __init__(self, preset: Preset, amounts: Amounts, settings: Settings) -> None:
        self.preset, self.amounts, self.settings = preset, amounts, settings
        self.run = Run(settings, NETWORKS)
        self.clips = Clips(
            folder=settings.folder / "clips",
            count=amounts.clips,
            frames=amounts.frames,
            px=preset.size,
            motion_px=preset.motion_px,
            varied=amounts.varied,
            still=amounts.still,
        )
        self.driving_clips = DrivingClips(
            folder=settings.folder / "drivers",
            count=amounts.driving_clips,
            frames=_MOMENTS,
            px=preset.size,
            motion_px=preset.motion_px,
            varied=amounts.varied,
        )
        for drawn in (self.clips, self.driving_clips):
            drawn.check_share()
        self._begun: WeightsSource | None = None
        self._before = preset.architecture  # that of the weights that all begins with
        if amounts.begin is not None:
            self._before = begun_architecture(preset.architecture, amounts.begin)
            self._begun = open_source(self._before, amounts.begin, preset=preset.name)
        self.frozen = FrozenNetworks(preset, self.run, self.clips)

    def stages(self) -> dict[str, Callable[[Tell], bool | None]]:
        """What comes before the weights are written, in its order: False of a phase that has not ended."""
        return {
            "clips": self.draw,
            "linear": self.linear,
            "autoencoder": self.autoencoder,
            "motion": self.motion,
            "latents": self.frozen.latents,
            "features": self.frozen.features,
            "fit": self.fit,
            "denoiser": self.denoiser,
            "made": self.made,
            "decoder": self.decoder,
        }

    def draw(self, tell: Tell) -> None:
        """Every clip and every driving clip, on disk."""
        for name, drawn in (("clips", self.clips), ("drivers", self.driving_clips)):
            for done in drawn.draw_missing(self.amounts.workers):
                tell(name, done, drawn.count, {})

    def linear(self, tell: Tell) -> bool:
        """Where the VAE begins; True when that is complete. Nothing is done where it has begun, or goes on."""
        if self._knows("vae") or self.run.has_begun("autoencoder"):
            return True
        vae = cast(VAE, self._new("vae"))
        shown = self._autoencoder_phase(vae)
        return self.run.train(LinearPhase(vae, shown, self.amounts.linear_steps, self.settings.device), tell)

    def autoencoder(self, tell: Tell) -> bool:
        """The VAE; True when it is complete."""
        vae = cast(VAE, self._new("vae"))
        phase = self._autoencoder_phase(vae)
        if not self._knows("vae") and not self.run.has_begun("autoencoder"):
            vae.load_state_dict(self.run.end("linear")["vae"])
        return self.run.train(phase, tell)

    def _autoencoder_phase(self, vae: VAE) -> Autoencoder:
        return Autoencoder(
            vae,
            self.clips,
            self.frozen.numbers(),
            self.amounts.autoencoder_steps,
            self.settings.device,
            pictures=self.amounts.pictures,
            times=self.amounts.rows,
        )

    def motion(self, tell: Tell) -> bool:
        """Expression and head pose; True when they are complete."""
        phase = MotionNetworks(
            cast(Expression, self._new("expression")),
            cast(HeadPose, self._new("head_pose")),
            self.driving_clips,
            ready_numbers(self.driving_clips),
            self.amounts.motion_steps,
            self.settings.device,
            times=self.amounts.rows,
        )
        # In bfloat16 an angle is known to no better than an eighth of a degree.
        return self.run.train(phase, tell, replace(self.settings, half=False))

    def fit(self, tell: Tell) -> None:
        """The UNet that a run with other latents begins with, which are of other weights than its own."""
        if not self._refitted() or self.run.has_ended("fit"):
            return
        assert self._begun is not None
        networks = {name: self._new(name) for name in LEAVES["denoiser"]}
        phase = self.frozen.denoiser_phase(networks, self.amounts.denoiser_steps)
        unet = fitted_unet(cast(UNet, networks["unet"]), self._begun, self._before, phase, self.clips)
        self.run.leave("fit", {"unet": unet.state_dict()})
        tell("fit", 1, 1, {})

    def denoiser(self, tell: Tell) -> bool:
        """Appearance, refiner and UNet; True when they are complete."""
        return self._train_in_parallel(Training.denoiser_phase, tell)

    def made(self, tell: Tell) -> None:
        """Some clips as the frozen denoiser makes them."""
        phase = self.denoiser_phase()
        for name, module in self.frozen.networks("denoiser").items():
            phase.modules[name].load_state_dict(module.state_dict())
        steps = Sampling.from_manifest(self.preset.sampling).steps

        def make(number: int) -> np.ndarray:
            with torch.autocast(self.settings.device.type, torch.bfloat16, enabled=self.settings.half):
                return phase.make(phase.numbers.index(number), np.random.default_rng(number), steps)

        self.run.see("made", "denoiser", make, self._some(), tell)

    def decoder(self, tell: Tell) -> bool:
        """The VAE's decoder, on what was made; True when it is complete."""
        return self._train_in_parallel(Training.decoder_phase, tell)

    def denoiser_phase(self) -> DenoiserPhase:
        """Of new networks. Raises InputError where there is nothing to learn from."""
        networks = {name: self._new(name) for name in LEAVES["denoiser"]}
        if self._refitted():
            networks["unet"].load_state_dict(self.run.end("fit")["unet"])
        return self.frozen.denoiser_phase(networks, self.amounts.denoiser_steps, times=self.amounts.rows)

    def decoder_phase(self) -> DecoderPhase:
        """Of the first phase's VAE. Raises InputError where there is nothing to learn from."""
        numbers = self._some()
        vae = cast(VAE, self._new("vae"))
        vae.load_state_dict(self.run.end("autoencoder")["vae"])
        return DecoderPhase(
            vae,
            clips=self.clips,
            latents=self.frozen.seen_latents(numbers),
            made=self.run.seen("made", "denoiser", numbers),
            numbers=numbers,
            steps=self.amounts.decoder_steps,
            device=self.settings.device,
        )

    def write(self, path: Path) -> None:
        """The averaged weights of all phases as one file of half precision."""
        states: dict[str, Mapping[str, torch.Tensor]] = {}
        for phase in ("motion", "denoiser", "decoder"):
            states |= {name: module.state_dict() for name, module in self.frozen.networks(phase).items()}
        # It only ever sees a black picture: a network whose last layer is zero, so that it adds nothing.
        guider = self._new("pose_guider")
        for parameter in guider.get_submodule("conv_out").parameters():
            nn.init.zeros_(parameter)
        states["pose_guider"] = guider.state_dict()
        write_weights(path, {name: states[name] for name in NETWORKS}, preset=self.preset.name)

    def _new(self, network: str) -> nn.Module:
        torch.manual_seed(self.settings.seed)
        module = self.preset.architecture.build(network, device="cpu")
        module = with_initial_weights(module)
        if self._begun is not None and self._knows(network):
            module.load_state_dict(self._begun.state(network))
        return module.to(self.settings.device).train()

    def _knows(self, network: str) -> bool:
        """Whether the weights that all begins with have this one, in its present shape."""
        return self._begun is not None and not (network in ("vae", "unet") and self._refitted())

    def _refitted(self) -> bool:
        """Whether the weights that all begins with are of other latents."""
        return self._before is not self.preset.architecture

    def _some(self) -> list[int]:
        """The clips that the denoiser makes."""
        return self.frozen.numbers()[: self.amounts.made]

    def _train_in_parallel(self, begin: Callable[[Training], DenoiserPhase | DecoderPhase], tell: Tell) -> bool:
        phase = begin(self)  # before anybody is asked to help: it says what is missing
        # Processes share the cores of a CPU; one GPU they would take from each other.
        processes = 1 if self.settings.device.type != "cpu" else min(self.amounts.workers, phase.batches)
        with data_parallel(processes, partial(_help, begin, self.preset, self.amounts, self.settings)) as share:
            return self.run.train(phase, tell, replace(self.settings, share=share))


def _help(
    begin: Callable[[Training], DenoiserPhase | DecoderPhase],
    preset: Preset,
    amounts: Amounts,
    settings: Settings,
    share: Share,
) -> None:
    train(begin(Training(preset, amounts, settings)), replace(settings, share=share), lambda *_: None)
