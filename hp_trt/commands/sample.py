"""`hp-trt sample`: something to try with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hp_trt.commands import options
from hp_trt.console import Reporter

OUT = "Folder to write portrait.png, driving.mp4 and driving-2.mp4 into."
SPEECH = "Instead of the videos speech.wav, synthetic and of no language's words, with its phonemes and truth beside."


def sample(
    out: Annotated[Path, typer.Option(parser=options.folder, metavar="PATH", help=OUT)],
    seed: Annotated[int, typer.Option(min=0, max=options.MOST_SEED, help="Who is drawn, and how they move.")] = 0,
    frames: Annotated[int, typer.Option(min=1, max=10_000, help="Length of the driving videos, or the speech.")] = 50,
    speech: Annotated[bool, typer.Option("--speech", help=SPEECH)] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Draw a portrait and two driving videos of other people, with sound and landmarks: something to try with."""
    from hp_trt.sample import DRIVING, write_sample, write_speech_sample

    with Reporter(as_json=json) as report:
        if speech:
            portrait, sound = write_speech_sample(out, seed=seed, frames=frames)
            report.result(f"{portrait} and {sound}", portrait=portrait, speech=sound)
            return
        portrait, driving = write_sample(out, seed=seed, frames=frames)
        report.result(f"{portrait} and {driving}", portrait=portrait, driving=driving, driving_2=out / DRIVING[1])
