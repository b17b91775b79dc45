"""`hp-trt animate`: a portrait, moved by a driving video or by speech."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from engines.errors import InputError
from engines.safe_output import check_outputs
from hp_trt.commands import options
from hp_trt.config import RuntimeConfig
from hp_trt.console import Reporter
from hp_trt.provenance.options import Provenance

if TYPE_CHECKING:
    import numpy as np

Audio = Annotated[Path | None, typer.Option(help="Speech: a sound file, a video with sound, or a motion file.")]
Sheet = Annotated[
    Path | None, typer.Option(help="Also write a contact sheet: portrait, driving frames, result (.png).")
]
ReleasedPlan = Annotated[
    bool, typer.Option("--released-plan", help="Of speech: cut it as released, which may lose the end.")
]
GoOn = Annotated[bool, typer.Option("--resume", help="Go on with a run that did not end; keep a video's parts.")]
Restart = Annotated[bool, typer.Option("--restart", help="Let go of a run that did not end, and begin anew.")]


@dataclass(frozen=True, kw_only=True)
class AnimateConfig:
    """What is animated, with what, and where to. Checked when made; raises InputError and OutputError."""

    bundle: Path
    runtime: RuntimeConfig
    portrait: Path
    driving: Path | None = None
    audio: Path | None = None
    out: Path
    crop_out: Path | None = None
    sheet: Path | None = None  # a contact sheet
    below: Callable[[], Sequence[tuple[str, np.ndarray]]] | None = None  # what more it shows, once the rest is written
    landmarks: Path | None = None  # of the driving faces
    portrait_landmarks: Path | None = None
    released_plan: bool = False
    resume: Literal["new", "resume", "restart"] = "new"
    provenance: Provenance = field(default_factory=Provenance)  # what the files carry
    sampling: dict[str, Any]  # overrides by name; None leaves the bundle's own

    def __post_init__(self) -> None:
        from hp_trt.media.contact_sheet import check_sheet
        from hp_trt.provenance.run_seal import check_beside

        if (self.driving is None) == (self.audio is None):
            given = "neither" if self.driving is None else "both"
            raise InputError(
                f"a portrait is moved by one of two, got {given}: --driving VIDEO, for a bundle of HunyuanPortrait, or "
                "--audio FILE with speech, for one of Hallo2"
            )
        self._check_options()
        inputs = self.runtime.inputs(
            bundle=self.bundle,
            portrait=self.portrait,
            driving=self.driving,
            audio=self.audio,
            landmarks=self.landmarks,
            portrait_landmarks=self.portrait_landmarks,
        )
        if self.sheet is not None:
            check_sheet(self.sheet, inputs)
        outputs = {"the result": self.out, "the crop": self.crop_out, "the contact sheet": self.sheet}
        check_outputs(outputs, inputs)
        if self.provenance.sidecar:
            check_beside(outputs, inputs)

    def _check_options(self) -> None:
        """An option of the other one of two would change nothing, and who gave it would not know."""
        of_video = {
            "--appearance-scale": self.sampling.get("guidance_appearance"),
            "--motion-scale": self.sampling.get("guidance_motion"),
            "--driving-landmarks": self.landmarks,
            "--decoder nvdec": self.runtime.nvdec,
            "--encoder nvenc": self.runtime.nvenc,
        }
        of_speech = {
            "--guidance": self.sampling.get("guidance"),
            "--motion-weights": self.sampling.get("motion_weights"),
            "--mood": self.sampling.get("mood"),
            "--vocals": self.runtime.vocals,
            "--released-plan": self.released_plan or None,
        }
        other, option, given = (
            (of_video, "--driving", "--audio") if self.driving is None else (of_speech, "--audio", "--driving")
        )
        if stray := [name for name, value in other.items() if value is not None]:
            raise InputError(
                f"{', '.join(stray)} {'goes' if len(stray) == 1 else 'go'} with {option}, got {given}; leave it out"
            )


@options.carrying
def animate(
    provenance: Provenance,
    bundle: options.Bundle,
    portrait: options.Portrait,
    out: Annotated[Path, typer.Option(help="Result: the whole portrait, moving (.mp4, .mov, .mkv).")],
    driving: Annotated[Path | None, typer.Option(help="Video of the face to follow, or a motion file.")] = None,
    audio: Audio = None,
    crop_out: Annotated[Path | None, typer.Option(help="Also write the square around the face.")] = None,
    sheet: Sheet = None,
    steps: options.Steps = None,
    seed: options.Seed = None,
    appearance_scale: options.AppearanceScale = None,
    motion_scale: options.MotionScale = None,
    guidance: options.Guidance = None,
    motion_weights: options.MotionWeights = None,
    mood: options.Mood = None,
    released_plan: ReleasedPlan = False,
    resume: GoOn = False,
    restart: Restart = False,
    profile: options.Profile = "exact",
    family: options.Family = "onnxruntime",
    provider: options.Provider = "cpu",
    device: options.Device = 0,
    devices: options.Devices = None,
    weight_budget: options.WeightBudget = None,
    max_frames: options.MaxFrames = RuntimeConfig.max_frames,
    threads: options.Threads = None,
    locator: options.Locator = "haar",
    locator_file: options.LocatorFile = None,
    portrait_landmarks: options.PortraitLandmarks = None,
    driving_landmarks: options.DrivingLandmarks = None,
    arcface: options.Arcface = None,
    vocals: options.Vocals = None,
    decoder: options.Decoder = "cpu",
    encoder: options.Encoder = "cpu",
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Animate a portrait with a driving video, or with speech."""
    scales = {"appearance_scale": appearance_scale, "motion_scale": motion_scale, "guidance": guidance}
    machine = options.machine(family=family, provider=provider, device=device, threads=threads)
    finder = options.finder(locator=locator, locator_file=locator_file, arcface=arcface)
    more: dict[str, Any] = {"profile": profile, "max_frames": max_frames, "vocals": vocals}
    more |= {"weight_budget_bytes": options.weight_budget_bytes(weight_budget), "devices": options.devices(devices)}
    files: dict[str, Any] = {"portrait": portrait, "driving": driving, "audio": audio, "out": out, "crop_out": crop_out}
    config = AnimateConfig(
        bundle=bundle,
        runtime=RuntimeConfig(**more, **machine, **finder, **options.coders(decoder, encoder)),
        **files,
        sheet=sheet,
        landmarks=driving_landmarks,
        portrait_landmarks=portrait_landmarks,
        released_plan=released_plan,
        resume=resumed(resume, restart),
        provenance=provenance,
        sampling=options.sampling(steps=steps, seed=seed, motion_weights=motion_weights, mood=mood, **scales),
    )
    with Reporter(as_json=json) as report:
        animate_files(config, report)


def resumed(resume: bool, restart: bool) -> Literal["new", "resume", "restart"]:
    """What becomes of a run that did not end. Raises InputError for both at once."""
    if resume and restart:
        raise InputError("--resume goes on with an unfinished run, --restart lets go of it; give one of them")
    return "resume" if resume else "restart" if restart else "new"


def pictures_of(config: AnimateConfig) -> tuple[Path | np.ndarray, Path | None]:
    """What a contact sheet shows of the portrait and of the driving video; None: a motion file has no pictures."""
    from hp_trt.encoded.encoded_file import is_encoded
    from hp_trt.encoded.kept_portrait import picture_of

    portrait = picture_of(config.portrait) if is_encoded(config.portrait) else config.portrait
    return portrait, None if is_encoded(config.driving) else config.driving


def animate_files(config: AnimateConfig, report: Reporter) -> None:
    """Write what is asked for, and say what was done. Raises what `hp_trt.Runtime` raises."""
    start_s = time.perf_counter()
    from hp_trt.api import Runtime
    from hp_trt.media.contact_sheet import write_sheet

    out, sheet = config.out, config.sheet
    with Runtime(config.bundle, config.runtime, on_event=report.on_event) as runtime:
        report.note_weights(runtime.bundle.manifest)
        animation = runtime.animate(
            config.portrait,
            config.driving,
            out,
            audio=config.audio,
            released_plan=config.released_plan,
            resume=config.resume,
            crop_out=config.crop_out,
            landmarks=config.landmarks,
            portrait_landmarks=config.portrait_landmarks,
            provenance=config.provenance,
            **config.sampling,
        )
    seal = animation.seal
    if sheet is not None:
        portrait, driving = pictures_of(config)
        made_of: dict[str, Any] = {"portrait": portrait, "driving": driving, "result": out}
        below = () if config.below is None else config.below()
        write_sheet(sheet, **made_of, frames=animation.frames, below=below, seal=seal)
    for note in animation.notes:
        report.note(note)
    seconds = time.perf_counter() - start_s
    mean = " on average" if animation.rate_varies else ""
    report.result(
        f"{out}: {animation.frames} frames at {float(animation.rate):g} fps{mean} in {seconds:.1f} s "
        f"({animation.frames / seconds:.2f} frames/s)",
        out=out,
        crop_out=config.crop_out,
        sheet=sheet,
        frames=animation.frames,
        rate=float(animation.rate),
        rate_varies=animation.rate_varies,
        mark_id=None if seal is None or seal.mark_id is None else f"{seal.mark_id:08x}",
        seconds=seconds,
    )
