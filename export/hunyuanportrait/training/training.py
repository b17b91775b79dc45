"""All of training, stage after stage, in one folder that any of it resumes from.

- clips/, drivers/: what is drawn;
- autoencoder.pt, motion.pt, denoiser.pt, decoder.pt: each stage's newest state; .csv: its loss; .done.pt: its end;
- latents/, features/: what the first two stages make of every clip, the third one's data;
- made/: what the third stage makes of some of them, the last one's data;
- pocket.safetensors: the result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from engines.errors import InputError
from export.hunyuanportrait.architecture import LIVE_NETWORKS, NETWORKS
from export.hunyuanportrait.networks.expression import Expression
from export.hunyuanportrait.networks.head_pose import HeadPose, rotation_deg
from export.hunyuanportrait.networks.vae import VAE
from export.hunyuanportrait.presets import Preset
from export.hunyuanportrait.training.autoencoder import Autoencoder
from export.hunyuanportrait.training.clips import Clips, Drivers, as_planes
from export.hunyuanportrait.training.decoder import DecoderStage
from export.hunyuanportrait.training.denoiser import DenoiserStage
from export.hunyuanportrait.training.initial_weights import start
from export.hunyuanportrait.training.motion import MotionNetworks
from export.hunyuanportrait.training.recorded import RecordedClips
from export.training.data_parallel import Share, together
from export.training.files import load_state, rename_into_place
from export.training.stage import Modules, Settings, run
from export.weights.packed import write_weights
from runtime.hunyuanportrait.sampling import Sampling

_MOMENTS = 8  # of a driver
Tell = Callable[[str, int, int, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of everything. The defaults are those of the shipped weights, whose card tells what differed."""

    clips: int = 2400
    frames: int = 32  # of a clip
    drivers: int = 4000  # for the motion networks, of _MOMENTS frames each
    autoencoder_steps: int = 2600
    motion_steps: int = 17000
    denoiser_steps: int = 5250
    made: int = 600  # of the clips, made by the denoiser for the decoder to learn from
    decoder_steps: int = 600
    workers: int = 1  # processes that draw, and that share the batches of the last stages


class Training:
    """One run of training a preset."""

    def __init__(self, preset: Preset, plan: Plan, settings: Settings) -> None:
        self.preset, self.plan, self.settings = preset, plan, settings
        self.sampling = Sampling.from_manifest(preset.sampling)
        self._eyes: dict[str, str] = {}
        self.clips: Clips | RecordedClips = Clips(
            folder=settings.folder / "clips",
            count=plan.clips,
            frames=plan.frames,
            px=preset.size,
            motion_px=preset.motion_px,
        )
        self.drivers = Drivers(
            folder=settings.folder / "drivers",
            count=plan.drivers,
            frames=_MOMENTS,
            px=preset.size,
            motion_px=preset.motion_px,
        )

    def draw(self, tell: Tell) -> None:
        """Every clip and every driver, on disk."""
        for name, drawn in (("clips", self.clips), ("drivers", self.drivers)):
            for done in drawn.draw_missing(self.plan.workers):
                tell(name, done, drawn.count, {})

    def autoencoder(self, tell: Tell) -> bool:
        """The VAE; True when it is complete."""
        stage = Autoencoder(
            cast(VAE, self._new("vae")),
            self.clips,
            self._drawn(),
            self.plan.autoencoder_steps,
            self.settings.device,
        )
        return self._run(stage, tell)

    def motion(self, tell: Tell) -> bool:
        """Expression and head pose; True when they are complete."""
        stage = MotionNetworks(
            cast(Expression, self._new("expression")),
            cast(HeadPose, self._new("head_pose")),
            self.drivers,
            self._ready(self.drivers),
            self.plan.motion_steps,
            self.settings.device,
        )
        # In bfloat16 an angle is known to no better than an eighth of a degree.
        return self._run(stage, tell, half=False)

    def latents(self, tell: Tell) -> None:
        """Every clip as the frozen autoencoder encodes it."""
        vae = cast(VAE, self._done("autoencoder", "vae"))
        self._look("latents", "autoencoder", lambda number: self._encode(number, vae), tell)

    def features(self, tell: Tell) -> None:
        """Every clip as the frozen motion networks see it: the features, then the three degrees."""
        expression = cast(Expression, self._done("motion", "expression"))
        head_pose = cast(HeadPose, self._done("motion", "head_pose"))
        self._look("features", "motion", lambda number: self._watch(number, expression, head_pose), tell)

    def denoiser(self, tell: Tell) -> bool:
        """Appearance, refiner and UNet; True when they are complete."""
        return self._run_together(Training._denoiser_stage, tell)

    def made(self, tell: Tell) -> None:
        """Some clips as the frozen denoiser makes them."""
        stage = self._denoiser_stage()
        for name, module in self._finished("denoiser").items():
            stage.modules[name].load_state_dict(module.state_dict())
        steps = self.sampling.steps

        def make(number: int) -> np.ndarray:
            with torch.autocast(self.settings.device.type, torch.bfloat16, enabled=self.settings.half):
                return stage.make(stage.numbers.index(number), np.random.default_rng(number), steps)

        self._look("made", "denoiser", make, tell, self._drawn()[: self.plan.made])

    def decoder(self, tell: Tell) -> bool:
        """The VAE's decoder, on what was made; True when it is complete."""
        return self._run_together(Training._decoder_stage, tell)

    def _run_together(self, begin: Callable[[Training], DenoiserStage | DecoderStage], tell: Tell) -> bool:
        stage = begin(self)  # before anybody is asked to help: it says what is missing
        processes = min(self.plan.workers, stage.batches)
        with together(processes, partial(_help, begin, self.preset, self.plan, self.settings)) as share:
            return self._run(stage, tell, share=share)

    def _decoder_stage(self) -> DecoderStage:
        numbers = self._drawn()[: self.plan.made]
        vae = cast(VAE, self._new("vae"))
        vae.load_state_dict(load_state(self._need("autoencoder"))["vae"])
        return DecoderStage(
            vae,
            clips=self.clips,
            latents=self._all_seen("latents", "autoencoder", numbers),
            made=self._all_seen("made", "denoiser", numbers),
            numbers=numbers,
            steps=self.plan.decoder_steps,
            device=self.settings.device,
        )

    def _denoiser_stage(self, modules: Modules | None = None) -> DenoiserStage:
        """Of these networks; None: of new ones."""
        numbers = self._drawn()
        latents = self._all_seen("latents", "autoencoder", numbers)
        features = self._all_seen("features", "motion", numbers) if self._finished_path("motion").exists() else None
        names = ("appearance", "image_proj", "motion_refiner", "unet")
        return DenoiserStage(
            {name: self._new(name) for name in names} if modules is None else modules,
            clips=self.clips,
            latents=latents,
            features=features,
            numbers=numbers,
            steps=self.plan.denoiser_steps,
            window=self.preset.frames,
            pad=self.sampling.pad_frames,
            scaling_factor=self.preset.architecture.vae.scaling_factor,
            device=self.settings.device,
            cell_px=self.preset.architecture.vae.downscale,
            appearance_px=self.preset.architecture.appearance["image_hw"][0],
        )

    def write(self, path: Path) -> None:
        """The averaged weights of all stages as one file of half precision."""
        states: dict[str, Mapping[str, torch.Tensor]] = {}
        for stage in ("motion", "denoiser", "decoder"):
            states |= {name: module.state_dict() for name, module in self._finished(stage).items()}
        # It only ever sees a black picture: a network whose last layer is zero, so that it adds nothing.
        guider = self._new("pose_guider")
        nn.init.zeros_(cast(nn.Conv2d, guider.get_submodule("conv_out")).weight)
        nn.init.zeros_(cast(nn.Conv2d, guider.get_submodule("conv_out")).bias)  # type: ignore[arg-type]
        states["pose_guider"] = guider.state_dict()
        write_weights(path, {name: states[name] for name in NETWORKS})

    def _new(self, network: str) -> nn.Module:
        torch.manual_seed(self.settings.seed)
        return start(self.preset.architecture.build(network, device="cpu")).to(self.settings.device).train()

    def _drawn(self) -> list[int]:
        return self._ready(self.clips)

    def _ready(self, drawn: Clips | RecordedClips | Drivers) -> list[int]:
        numbers = drawn.ready()
        if not numbers:
            raise InputError(f"no {drawn.folder.name} are drawn in {drawn.folder} yet; begin with --stage clips")
        return numbers

    def _run(self, stage, tell: Tell, **settings: Any) -> bool:
        if not run(stage, replace(self.settings, **settings), tell):
            return False
        finished = self._finished_path(stage.name)
        if not finished.exists():
            stage.finish(stage.modules)
            kept = (*NETWORKS, *LIVE_NETWORKS)
            state = {name: module.state_dict() for name, module in stage.modules.items() if name in kept}
            with rename_into_place(finished) as hidden:
                torch.save(state, hidden)
        return True

    def _finished_path(self, stage: str) -> Path:
        return self.settings.folder / f"{stage}.done.pt"

    def _need(self, stage: str) -> Path:
        path = self._finished_path(stage)
        if not path.exists():
            raise InputError(f"the stage {stage} is not complete in {path.parent} yet; run it first: --stage {stage}")
        return path

    def _finished(self, stage: str) -> Modules:
        return {name: self._load(name, state) for name, state in load_state(self._need(stage)).items()}

    def _done(self, stage: str, network: str) -> nn.Module:
        return self._load(network, load_state(self._need(stage))[network]).to(self.settings.device)

    def _load(self, network: str, state: dict) -> nn.Module:
        return self.preset.architecture.load(network, state)

    def _look(
        self, what: str, stage: str, make: Callable[[int], np.ndarray], tell: Tell, some: list[int] | None = None
    ) -> None:
        numbers = self._drawn() if some is None else some
        for count, number in enumerate(numbers, start=1):
            path = self._seen(what, stage, number)
            if not path.exists():
                with rename_into_place(path) as hidden, open(hidden, "wb") as file:
                    np.save(file, make(number))
            tell(what, count, len(numbers), {})

    def _seen(self, what: str, stage: str, number: int) -> Path:
        """Named by the weights that looked, so that other weights look again."""
        if stage not in self._eyes:
            with open(self._need(stage), "rb") as file:
                self._eyes[stage] = hashlib.file_digest(file, "sha256").hexdigest()[:12]
        return self.settings.folder / what / self._eyes[stage] / f"{number}.npy"

    def _all_seen(self, what: str, stage: str, numbers: list[int]) -> list[np.ndarray]:
        paths = [self._seen(what, stage, number) for number in numbers]
        if missing := [path for path in paths if not path.exists()]:
            raise InputError(f"{what} of {len(missing)} of {len(paths)} clips are missing; run --stage {what} first")
        return [np.load(path) for path in paths]

    @torch.no_grad()
    def _encode(self, number: int, vae: VAE) -> np.ndarray:
        """(N, 4, h, w) float16, scaled as the loop's."""
        pictures = self.clips.load(number).pictures
        latents = []
        for part in np.array_split(pictures, -(-len(pictures) // 8)):
            # An error of a hundredth of a deviation, which the denoiser's own hides, for half of the time.
            with torch.autocast(self.settings.device.type, torch.bfloat16, enabled=self.settings.half):
                moments = vae.encode(as_planes(part, self.settings.device) * 2 - 1)
            latents.append(moments[:, : vae.config.latent_channels].float() * vae.config.scaling_factor)
        return torch.cat(latents).cpu().numpy().astype(np.float16)

    @torch.no_grad()
    def _watch(self, number: int, expression: Expression, head_pose: HeadPose) -> np.ndarray:
        """(N, E + 3) float32."""
        clip, device = self.clips.load(number), self.settings.device
        features = expression(as_planes(clip.faces, device))
        degrees = rotation_deg(head_pose(as_planes(clip.poses, device)))
        return torch.cat([features, degrees], dim=1).cpu().numpy()


def _help(
    begin: Callable[[Training], DenoiserStage | DecoderStage],
    preset: Preset,
    plan: Plan,
    settings: Settings,
    share: Share,
) -> None:
    run(begin(Training(preset, plan, settings)), replace(settings, share=share), lambda *_: None)
