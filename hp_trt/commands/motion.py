"""`hp-trt motion`: a driving video, or speech, encoded once into a file that stands for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engines.errors import InputError
from engines.safe_output import check_outputs
from hp_trt.commands import options
from hp_trt.config import RuntimeConfig
from hp_trt.console import Reporter

if TYPE_CHECKING:
    from hp_trt.api import Runtime

OUT = "The motion file (*.safetensors): what animate and live take in the place of the video or the sound."
PORTABLE = "Of a video: keep the crops of the face too, for other bundles. They show the driver."


@dataclass(frozen=True, kw_only=True)
class MotionConfig:
    """What is encoded, with what, and where to. Checked when made; raises InputError and OutputError."""

    bundle: Path
    runtime: RuntimeConfig
    driving: Path | None = None
    audio: Path | None = None
    out: Path
    landmarks: Path | None = None
    released_plan: bool = False
    portable: bool = False

    def __post_init__(self) -> None:
        from hp_trt.encoded.tensor_file import SUFFIX

        if (self.driving is None) == (self.audio is None):
            given = "neither" if self.driving is None else "both"
            raise InputError(
                f"motion is of one of two, got {given}: --driving VIDEO, for a bundle of HunyuanPortrait, or --audio "
                "FILE with speech, for one of Hallo2"
            )
        self._check_options()
        inputs = self.runtime.inputs(
            bundle=self.bundle, driving=self.driving, audio=self.audio, landmarks=self.landmarks
        )
        check_outputs({"the motion file": self.out}, inputs, suffixes=(SUFFIX,))

    def _check_options(self) -> None:
        """An option of the other one of two would change nothing, and who gave it would not know."""
        of_video = {"--portable": self.portable or None, "--driving-landmarks": self.landmarks}
        of_speech = {"--vocals": self.runtime.vocals, "--released-plan": self.released_plan or None}
        other, option, given = (
            (of_video, "--driving", "--audio") if self.driving is None else (of_speech, "--audio", "--driving")
        )
        if stray := [name for name, value in other.items() if value is not None]:
            verb = "goes" if len(stray) == 1 else "go"
            raise InputError(f"{', '.join(stray)} {verb} with {option}, got {given}; leave it out")


def motion(
    bundle: options.Bundle,
    out: Annotated[Path, typer.Option(help=OUT)],
    driving: Annotated[Path | None, typer.Option(help="Video of the face to follow.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Speech to follow: a sound file, or a video with sound.")] = None,
    portable: Annotated[bool, typer.Option("--portable", help=PORTABLE)] = False,
    released_plan: Annotated[
        bool, typer.Option("--released-plan", help="Of speech: cut it as released, which may lose the end.")
    ] = False,
    profile: options.Profile = "exact",
    family: options.Family = "onnxruntime",
    provider: options.Provider = "cpu",
    device: options.Device = 0,
    max_frames: options.MaxFrames = RuntimeConfig.max_frames,
    threads: options.Threads = None,
    locator: options.Locator = "haar",
    locator_file: options.LocatorFile = None,
    driving_landmarks: options.DrivingLandmarks = None,
    vocals: options.Vocals = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Encode a driving video, or speech, into a file for animate and live. It has no picture of the driver."""
    config = MotionConfig(
        bundle=bundle,
        runtime=RuntimeConfig(
            profile=profile,
            max_frames=max_frames,
            vocals=vocals,
            **options.machine(family=family, provider=provider, device=device, threads=threads),
            **options.finder(locator=locator, locator_file=locator_file, arcface=None),
        ),
        driving=driving,
        audio=audio,
        out=out,
        landmarks=driving_landmarks,
        released_plan=released_plan,
        portable=portable,
    )
    with Reporter(as_json=json) as report:
        write_motion(config, report)


def write_motion(config: MotionConfig, report: Reporter) -> None:
    """Write the file, and say how large it will be and is. Raises what `hp_trt.Runtime.write_motion` raises."""
    from hp_trt.api import Runtime

    with Runtime(config.bundle, config.runtime, on_event=report.on_event) as runtime:
        report.note_weights(runtime.bundle.manifest)
        if config.portable:
            report.note("portable: the file will hold the crops of every frame, which show the driver's face")
        if (frames := _frames_of(config, runtime)) is not None:
            each = runtime.model.motion_bytes
            report.note(
                f"about {readable(frames * each)}: {frames} frames of {readable(each)} each, and the sound"
                + (" and the crops" if config.portable else "")
            )
        made = runtime.write_motion(
            config.out,
            driving=config.driving,
            audio=config.audio,
            landmarks=config.landmarks,
            released_plan=config.released_plan,
            portable=config.portable,
        )
    for note in made.notes:
        report.note(note)
    report.result(
        f"{made.path}: the motion of {made.frames} frames, {readable(made.bytes)}",
        out=made.path,
        frames=made.frames,
        bytes=made.bytes,
        portable=config.portable,
    )


def readable(count: int) -> str:
    """A size for people."""
    if count < 1 << 20:
        return f"{count / (1 << 10):.1f} KiB"
    return f"{count / (1 << 20):.1f} MiB" if count < 1 << 30 else f"{count / (1 << 30):.1f} GiB"


def _frames_of(config: MotionConfig, runtime: Runtime) -> int | None:
    """As many as the file says that there will be; None: it does not, or it is none of what moves these portraits."""
    from hp_trt.interface.render import RATE
    from hp_trt.media.sound_file import open_sound
    from hp_trt.media.video import VideoReader

    if config.driving is not None:
        return VideoReader(config.driving).info.frames if runtime.model.driver == "video" else None
    if config.audio is None or runtime.model.driver != "audio":
        return None
    with open_sound(config.audio) as container:
        return math.ceil(container.duration * RATE / 10**6) if container.duration else None
