"""`hp-trt sample`: something to try with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engines.errors import InputError
from hp_trt.commands import options
from hp_trt.config import one_of
from hp_trt.console import Reporter
from hp_trt.interface.voices import LANGUAGES, VOICES

OUT = "Folder to write portrait.png, driving.mp4 and driving-2.mp4 into."
SPEECH = "Instead of the videos speech.wav, synthetic and of no language's words, with its phonemes and truth beside."
FRAMES = "Length of the driving videos, or the speech [50; --text: as long as it takes]."
VOICE = "Of --speech: own, or espeak, which says words, needs hp-trt[espeak] and is under the GPL [own]."
LANGUAGE = f"Of --speech: {' or '.join(LANGUAGES)} [en]."
TEXT = "Of --voice espeak: what is said, in place of random words."


def sample(
    out: Annotated[Path, typer.Option(parser=options.folder, metavar="PATH", help=OUT)],
    seed: Annotated[int, typer.Option(min=0, max=options.MOST_SEED, help="Who is drawn, and how they move.")] = 0,
    frames: Annotated[int | None, typer.Option(min=1, max=10_000, help=FRAMES)] = None,
    speech: Annotated[bool, typer.Option("--speech", help=SPEECH)] = False,
    voice: Annotated[str | None, typer.Option(help=VOICE)] = None,
    language: Annotated[str | None, typer.Option(help=LANGUAGE)] = None,
    text: Annotated[str | None, typer.Option(help=TEXT)] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Draw a portrait and two driving videos of other people, with sound and landmarks: something to try with."""
    from hp_trt.sample import DRIVING, write_sample, write_speech_sample

    spoken = {"--voice": voice, "--language": language, "--text": text}
    if not speech and (given := [name for name, value in spoken.items() if value is not None]):
        raise InputError(f"{given[0]} is of speech; add --speech, or leave it out")
    if text is not None and frames is not None:
        raise InputError("--frames is the length of what has none; a --text takes as long as it takes: leave one out")
    frames = frames or 50
    with Reporter(as_json=json) as report:
        if speech:
            who = one_of("voice", voice or "own", VOICES)
            portrait, sound = write_speech_sample(
                out, seed=seed, frames=frames, language=language or "en", voice=who, text=text
            )
            report.result(f"{portrait} and {sound}", portrait=portrait, speech=sound)
            return
        portrait, driving = write_sample(out, seed=seed, frames=frames)
        report.result(f"{portrait} and {driving}", portrait=portrait, driving=driving, driving_2=out / DRIVING[1])
