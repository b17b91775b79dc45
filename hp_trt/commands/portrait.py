"""`hp-trt portrait`: a portrait, encoded once into a file that stands for its picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hp_trt.commands import options
from hp_trt.commands.motion import readable
from hp_trt.config import RuntimeConfig
from hp_trt.console import Reporter

OUT = "The portrait file (*.safetensors): what animate and live take in the place of the picture."


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
    machine = options.machine(family=family, provider=provider, device=device, threads=threads)
    finder = options.finder(locator=locator, locator_file=locator_file, arcface=arcface)
    with Reporter(as_json=json) as report:
        write_portrait(bundle, RuntimeConfig(**machine, **finder), portrait, portrait_landmarks, out, report)


def write_portrait(
    bundle: Path, runtime: RuntimeConfig, picture: Path, landmarks: Path | None, out: Path, report: Reporter
) -> None:
    """Write the file, and say how large it is. Raises what `hp_trt.Runtime.write_portrait` raises."""
    from hp_trt.api import Runtime

    with Runtime(bundle, runtime, on_event=report.on_event) as opened:
        report.note_weights(opened.bundle.manifest)
        made = opened.write_portrait(out, picture, landmarks=landmarks)
    for note in made.notes:
        report.note(note)
    report.result(f"{made.path}: a portrait, {readable(made.bytes)}", out=made.path, bytes=made.bytes)
