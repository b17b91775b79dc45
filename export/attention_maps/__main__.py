"""`python -m export.attention_maps`: what a model's frames attend to, level by level, as a picture.

What is read in the portrait, how much of what a place reads is the portrait, how much the motion frames, and how much
the mood, in the second of two clips. It runs Hallo2's literal program, in PyTorch on the CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engines.errors import InputError
from engines.safe_output import check_outputs, safe_output
from export.attention_maps.drawing import draw
from export.attention_maps.maps import lines
from export.weights.own import own_weights
from hp_trt.commands import options
from hp_trt.config import one_of
from hp_trt.console import Reporter, run
from hp_trt.faces.locators import open_locator
from hp_trt.hallo2.moods import mood_weights
from hp_trt.measure.drawing import check_can_draw

if TYPE_CHECKING:
    from export.attention_maps.maps import Looked

TALKS: tuple[str, ...] = ("hallo2", "talk_pocket")
Weights = Annotated[
    Path | None, typer.Option(help="Upstream's folder, or a file of export.train [those that come with hp-trt].")
]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def command(
    preset: Annotated[str, typer.Option(help=f"Of {', '.join(TALKS)}.")],
    portrait: options.Portrait,
    out: Annotated[Path, typer.Option(help="The picture (.png, .svg, .pdf).")],
    audio: Annotated[Path, typer.Option(help="Speech.")],
    weights: Weights = None,
    random_weights: Annotated[bool, typer.Option("--random-weights", help="To see that it runs.")] = False,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Denoising steps.")] = 4,
    mood: options.Mood = None,
    locator: options.Locator = "haar",
    locator_file: options.LocatorFile = None,
    portrait_landmarks: options.PortraitLandmarks = None,
    debug: options.Debug = False,
) -> None:
    """Draw where a model looks: in the portrait and in the motion frames."""
    one_of("preset", preset, TALKS)
    source = check_weights(preset, weights, random_weights)
    inputs = {"the portrait": portrait, "the sound": audio, "the weights": source}
    inputs |= {"the portrait's landmarks": portrait_landmarks}
    check_outputs({"the picture": out}, inputs)
    check_can_draw(out, "--out")
    finder = options.finder(locator=locator, locator_file=locator_file, arcface=None)
    by_default = open_locator(finder["locator"], finder["locator_file"])
    found = by_default if portrait_landmarks is None else open_locator("landmarks", portrait_landmarks)
    with Reporter() as report:
        from export.hallo2.looking import looked_at

        looked = looked_at(
            preset,
            source,
            portrait=portrait,
            audio=audio,
            locator=found,
            steps=steps,
            mood=None if mood is None else mood_weights(mood),
        )
        write(looked, out, preset, random=source is None)
        for line in lines(looked):
            report.note(line)
        report.result(f"{out}: {len(looked.levels)} levels of {preset}")


def check_weights(preset: str, weights: Path | None, random: bool) -> Path | None:
    """None: random. Raises InputError, CheckpointError."""
    if random and weights is not None:
        raise InputError("--weights and --random-weights given; choose one")
    if random:
        return None
    return own_weights(preset) if weights is None else weights


def write(looked: Looked, out: Path, preset: str, *, random: bool) -> None:
    """Draw the maps into `out`. Raises OutputError."""
    title = f"{preset}: where it looks" + (" (random weights)" if random else "")
    with safe_output(out) as part:
        draw(looked, part, out.suffix, title)


if __name__ == "__main__":
    run(app, json_events=False)
