"""`python -m export.attention_maps`: what a model's frames attend to, level by level, as a picture.

Of a portrait that speech moves: what is read in the portrait, in the motion frames and from the mood. Of one that a
driving video moves: what is read from image and motion tokens, and which frames of a window a frame reads. It runs the
literal programs, in PyTorch on the CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engines.errors import InputError
from engines.safe_output import check_outputs, safe_output
from export.attention_maps.asked import STEPS, Asked
from export.attention_maps.drawing import draw
from export.attention_maps.maps import lines
from export.weights.own import own_weights
from hp_trt.commands import options
from hp_trt.console import Reporter, run
from hp_trt.faces.locators import open_locator
from hp_trt.hallo2.moods import mood_weights
from hp_trt.measure.drawing import check_can_draw
from hp_trt.models import driver_of

if TYPE_CHECKING:
    from export.attention_maps.maps import Looked
    from hp_trt.faces.face import FaceLocator

Weights = Annotated[
    Path | None, typer.Option(help="Upstream's folder, or a file of export.train [those that come with hp-trt].")
]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def command(
    preset: Annotated[str, typer.Option(help="pocket, hunyuanportrait, talk_pocket or hallo2.")],
    portrait: options.Portrait,
    out: Annotated[Path, typer.Option(help="The picture (.png, .svg, .pdf).")],
    driving: Annotated[Path | None, typer.Option(help="Video of the face to follow, whose beginning is seen.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Speech, whose beginning is heard.")] = None,
    weights: Weights = None,
    random_weights: Annotated[bool, typer.Option("--random-weights", help="To see that it runs.")] = False,
    steps: Annotated[
        int | None, typer.Option(min=1, max=1000, help=f"Denoising steps [{STEPS}, or the preset's where it has less].")
    ] = None,
    mood: options.Mood = None,
    locator: options.Locator = "haar",
    locator_file: options.LocatorFile = None,
    portrait_landmarks: options.PortraitLandmarks = None,
    driving_landmarks: options.DrivingLandmarks = None,
    debug: options.Debug = False,
) -> None:
    """Draw where a model looks: in the portrait, in what moves it, and in the frames beside."""
    driver = check_driver(preset, driving=driving, audio=audio, mood=mood, driving_landmarks=driving_landmarks)
    source = check_weights(preset, weights, random_weights)
    inputs = {"the portrait": portrait, "what moves it": driver, "the weights": source}
    inputs |= {"the portrait's landmarks": portrait_landmarks, "the driving faces' landmarks": driving_landmarks}
    check_outputs({"the picture": out}, inputs)
    check_can_draw(out, "--out")
    finder = options.finder(locator=locator, locator_file=locator_file, arcface=None)

    def opened(landmarks: Path | None) -> FaceLocator:
        if landmarks is not None:
            return open_locator("landmarks", landmarks)
        return open_locator(finder["locator"], finder["locator_file"])

    asked = Asked(
        preset=preset,
        weights=source,
        portrait=portrait,
        driver=driver,
        locator=opened(portrait_landmarks),
        driving_locator=opened(driving_landmarks),
        steps=steps,
        mood=None if mood is None else mood_weights(mood),
    )
    with Reporter() as report:
        from export.models import look

        looked = look(asked)
        write(looked, out, preset, random=source is None)
        for line in lines(looked):
            report.note(line)
        report.result(f"{out}: {len(looked.levels)} levels of {preset}")


def check_driver(
    preset: str, *, driving: Path | None, audio: Path | None, mood: str | None, driving_landmarks: Path | None
) -> Path:
    """What moves the preset's portraits. Raises InputError where it was not given, or the other one or its options."""
    from export.models import find_model

    driver = driver_of(find_model(preset).name)
    if driver == "video":
        own, given, stray = "--driving", driving, {"--audio": audio, "--mood": mood}
    else:
        own, given, stray = "--audio", audio, {"--driving": driving, "--driving-landmarks": driving_landmarks}
    whose = f"portraits of {preset} are moved by {'a driving video' if driver == 'video' else 'speech'}"
    if wrong := [name for name, value in stray.items() if value is not None]:
        instead = f"leave {' and '.join(wrong)} out"
        raise InputError(f"{whose}: " + (f"give {own} FILE, and {instead}" if given is None else instead))
    if given is None:
        raise InputError(f"{whose}: give {own} FILE")
    return given


def check_weights(preset: str, weights: Path | None, random: bool) -> Path | None:
    """None: random. Raises InputError, CheckpointError."""
    if random and weights is not None:
        raise InputError("--weights and --random-weights given; choose one")
    if random:
        return None
    return own_weights(preset) if weights is None else weights


def write(looked: Looked, out: Path, preset: str, *, random: bool) -> None:
    """Draw what was seen into `out`. Raises OutputError."""
    title = f"{preset}: where it looks" + (" (random weights)" if random else "")
    with safe_output(out) as part:
        draw(looked, part, out.suffix, title)


if __name__ == "__main__":
    run(app, json_events=False)
