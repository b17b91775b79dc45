"""`python -m export.attention_maps`: what a model's frames attend to, level by level, as a picture.

Of Hallo2 (`--audio`): what is read in the portrait, how much of what a place reads is the portrait, and how much the
motion frames, in the second of two clips. Of HunyuanPortrait (`--driving`): how much of what a place reads are motion
tokens, and how sharply it picks one image token and one motion token, in one window. It runs the literal programs, in
PyTorch on the CPU.
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
from hp_trt.measure.drawing import check_can_draw

if TYPE_CHECKING:
    from export.attention_maps.maps import Looked

TALKS, FOLLOWS = ("hallo2", "talk_pocket"), ("hunyuanportrait", "pocket")
Weights = Annotated[
    Path | None, typer.Option(help="Upstream's folder, or a file of export.train [those that come with hp-trt].")
]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def command(
    preset: Annotated[str, typer.Option(help=f"Of {', '.join((*TALKS, *FOLLOWS))}.")],
    portrait: options.Portrait,
    out: Annotated[Path, typer.Option(help="The picture (.png, .svg, .pdf).")],
    audio: Annotated[Path | None, typer.Option(help="Speech, of a preset that it drives.")] = None,
    driving: Annotated[Path | None, typer.Option(help="Video, of a preset that it drives.")] = None,
    weights: Weights = None,
    random_weights: Annotated[bool, typer.Option("--random-weights", help="To see that it runs.")] = False,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Denoising steps.")] = 4,
    locator: options.Locator = "haar",
    locator_file: options.LocatorFile = None,
    portrait_landmarks: options.PortraitLandmarks = None,
    driving_landmarks: options.DrivingLandmarks = None,
    debug: options.Debug = False,
) -> None:
    """Draw where a model looks: in the portrait, the motion frames, the image and the motion tokens."""
    one_of("preset", preset, (*TALKS, *FOLLOWS))
    driver = check_driver(preset, audio, driving)
    source = check_weights(preset, weights, random_weights)
    inputs = {"the portrait": portrait, "the driver": driver, "the weights": source}
    inputs |= {"the portrait's landmarks": portrait_landmarks, "the driver's landmarks": driving_landmarks}
    check_outputs({"the picture": out}, inputs)
    check_can_draw(out, "--out")
    finder = options.finder(locator=locator, locator_file=locator_file, arcface=None)
    by_default = open_locator(finder["locator"], finder["locator_file"])
    found = by_default if portrait_landmarks is None else open_locator("landmarks", portrait_landmarks)
    with Reporter() as report:
        if preset in TALKS:
            from export.hallo2 import looking as talk

            looked = talk.looked_at(preset, source, portrait=portrait, audio=driver, locator=found, steps=steps)
        else:
            from export.hunyuanportrait import looking as follow

            theirs = by_default if driving_landmarks is None else open_locator("landmarks", driving_landmarks)
            looked = follow.looked_at(
                preset, source, portrait=portrait, driving=driver, locator=found, driving_locator=theirs, steps=steps
            )
        write(looked, out, preset, random=source is None)
        for line in lines(looked):
            report.note(line)
        report.result(f"{out}: {len(looked.levels)} levels of {preset}")


def check_driver(preset: str, audio: Path | None, driving: Path | None) -> Path:
    """What moves the preset's portraits. Raises InputError unless that alone is given."""
    wanted, other, names = (
        (audio, driving, ("--audio", "--driving")) if preset in TALKS else (driving, audio, ("--driving", "--audio"))
    )
    if wanted is None or other is not None:
        raise InputError(f"{preset} is moved by {names[0]}; give that, and no {names[1]}")
    return wanted


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
