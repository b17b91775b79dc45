"""`hp-trt portrait`: a portrait, encoded once into a file that stands for its picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from engines.safe_output import check_outputs
from hp_trt.commands import options
from hp_trt.commands.motion import readable
from hp_trt.config import RuntimeConfig
from hp_trt.console import Reporter

OUT = "The portrait file (*.safetensors): what animate and live take in the place of the picture."


@dataclass(frozen=True, kw_only=True)
class PortraitConfig:
    """What is encoded, with what, and where to. Checked when made; raises InputError and OutputError."""

    bundle: Path
    runtime: RuntimeConfig
    portrait: Path
    out: Path
    landmarks: Path | None = None

    def __post_init__(self) -> None:
        from hp_trt.encoded.tensor_file import SUFFIX

        inputs = self.runtime.inputs(bundle=self.bundle, portrait=self.portrait, portrait_landmarks=self.landmarks)
        check_outputs({"the portrait file": self.out}, inputs, suffixes=(SUFFIX,))


def portrait(
    bundle: options.Bundle,
    portrait: Annotated[Path, typer.Option(help="Picture with one face.")],
    out: Annotated[Path, typer.Option(help=OUT)],
    family: options.Family = "onnxruntime",
    provider: options.Provider = "cpu",
    device: options.Device = 0,
    threads: options.Threads = None,
    locator: options.Locator = "haar",
    locator_file: options.LocatorFile = None,
    portrait_landmarks: options.PortraitLandmarks = None,
    arcface: options.Arcface = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Encode a portrait into a file for animate and live. It holds the picture."""
    config = PortraitConfig(
        bundle=bundle,
        runtime=RuntimeConfig(
            **options.machine(family=family, provider=provider, device=device, threads=threads),
            **options.finder(locator=locator, locator_file=locator_file, arcface=arcface),
        ),
        portrait=portrait,
        out=out,
        landmarks=portrait_landmarks,
    )
    with Reporter(as_json=json) as report:
        write_portrait(config, report)


def write_portrait(config: PortraitConfig, report: Reporter) -> None:
    """Write the file, and say how large it is. Raises what `hp_trt.Runtime.write_portrait` raises."""
    from hp_trt.api import Runtime

    with Runtime(config.bundle, config.runtime, on_event=report.on_event) as runtime:
        report.note_weights(runtime.bundle.manifest)
        made = runtime.write_portrait(config.out, config.portrait, landmarks=config.landmarks)
    for note in made.notes:
        report.note(note)
    report.result(f"{made.path}: a portrait, {readable(made.bytes)}", out=made.path, bytes=made.bytes)
