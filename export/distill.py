"""`python -m export.distill`: live mode's networks from a bundle's weights: a UNet of one to four steps without
guidance rows, and a tiny decoder. What is learnt is in `student.py`, `rollout.py` and `tiny_decoder.py` of the model's
training.

The preset pocket is distilled on people that `procedural/` draws, or on videos. The published weights know no drawn
people, so they need videos: a folder of them, from which the clips are cut as the runtime would see them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engines.errors import InputError
from export.hunyuanportrait.training.stage_names import DISTILLATION
from export.training import command
from hp_trt.commands import options
from hp_trt.config import one_of
from hp_trt.console import Reporter, run
from hp_trt.faces.locators import LOCATORS

if TYPE_CHECKING:
    from export.hunyuanportrait.training.distillation import Distillation

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
TEACHER = "The teacher: upstream's pretrained_weights, or a file of export.train [pocket: its own]."
VIDEOS = "Folder of videos to learn from, one talking face each [pocket: drawn people]."
ARCFACE = "arcface.onnx, for the identity vector [the weights folder's, if it has one]."
RATE = "Learning rate at its peak [1e-3, hunyuanportrait 1e-5]."
CLIPS = "How many are drawn, or cut at most."
BATCH_FRAMES = "Most frames of a batch of the student's: fewer take less memory [25]."
LIVE_WEIGHTS = "Networks of live mode that are not learnt again, a file of this command: a student to roll out."
CHECKPOINTING = "Compute the student's blocks twice, in less memory."
StudentSteps = Annotated[int | None, typer.Option(min=1, max=command.MOST, help="[1700, hunyuanportrait 4000]")]
Rollout = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=command.MOST_FRAMES,
        help="Most windows of live mode that the student makes to learn from, one after the other [none].",
    ),
]
RolloutSteps = Annotated[int | None, typer.Option(min=1, max=command.MOST, help="[600, hunyuanportrait 1000]")]
RolloutRate = Annotated[
    float | None, typer.Option(min=1e-9, max=1, help="Learning rate at its peak [3e-4, hunyuanportrait 3e-6].")
]


@app.command()
def distill(
    folder: command.RunFolder,
    preset: Annotated[str, typer.Option(help="hunyuanportrait (needs a large GPU) or pocket.")] = "pocket",
    weights: Annotated[Path | None, typer.Option(help=TEACHER)] = None,
    live_weights: Annotated[Path | None, typer.Option(help=LIVE_WEIGHTS)] = None,
    videos: Annotated[Path | None, typer.Option(help=VIDEOS)] = None,
    locator: Annotated[str, typer.Option(help="Face finder in the videos: haar, yunet, yoloface or mesh.")] = "haar",
    locator_file: options.LocatorFile = None,
    arcface: Annotated[Path | None, typer.Option(help=ARCFACE)] = None,
    stage: Annotated[list[str] | None, typer.Option(help=f"Only these of {', '.join(DISTILLATION)}.")] = None,
    minutes: command.Minutes = math.inf,
    clips: Annotated[int | None, typer.Option(min=1, max=command.MOST, help=CLIPS)] = None,
    frames: Annotated[int | None, typer.Option(min=25, max=command.MOST_FRAMES, help="Of each clip.")] = None,
    student_steps: StudentSteps = None,
    student_rate: Annotated[float | None, typer.Option(min=1e-9, max=1, help=RATE)] = None,
    batch_frames: Annotated[int | None, typer.Option(min=5, max=command.MOST_FRAMES, help=BATCH_FRAMES)] = None,
    checkpointing: Annotated[bool, typer.Option("--checkpointing", help=CHECKPOINTING)] = False,
    rollout: Rollout = None,
    rollout_steps: RolloutSteps = None,
    rollout_rate: RolloutRate = None,
    made: Annotated[
        int | None, typer.Option(min=1, max=command.MOST, help="Clips that the teacher makes for the decoder.")
    ] = None,
    decoder_steps: command.Count = None,
    held_out: Annotated[int | None, typer.Option(min=1, max=command.MOST, help="Other clips, to measure with.")] = None,
    varied: command.Varied = None,
    seed: command.RunSeed = 0,
    device: command.TorchDevice = "cpu",
    threads: command.TorchThreads = None,
    workers: Annotated[int, typer.Option(min=1, max=1024, help="Processes that draw.")] = 1,
    half: command.Half = True,
    out: Annotated[Path | None, typer.Option(help="The weights [RUN/PRESET_live.safetensors].")] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Distil a preset for live mode; killed at any moment, it resumes from its last saved state."""
    wanted = command.chosen_stages(stage, DISTILLATION)
    networks = {"arcface.onnx": arcface, "the face finder's network": locator_file}
    given = {"the teacher's weights": weights, "the live weights": live_weights, "the videos' folder": videos}
    command.check_written(folder, out, given | networks)
    from export.hunyuanportrait.training.distill_config import DistillConfig, usual_amounts

    amounts = command.given(clips=clips, frames=frames, made=made, decoder_steps=decoder_steps, held_out=held_out)
    amounts |= command.given(varied=varied)
    amounts |= command.given(student_steps=student_steps, student_rate=student_rate, batch_frames=batch_frames)
    amounts |= rollout_amounts(stage or (), rollout, rollout_steps, rollout_rate)
    config = DistillConfig(
        preset=preset,
        weights=weights,
        live_weights=live_weights,
        videos=videos,
        locator=one_of("locator", locator, LOCATORS),
        locator_file=locator_file,
        arcface=arcface,
        amounts=replace(usual_amounts(preset), **amounts, checkpointing=checkpointing, workers=workers),
    )
    settings = command.run_settings(folder, device=device, threads=threads, half=half, seed=seed, minutes=minutes)
    distillation = config.distillation(settings)
    with Reporter(as_json=json) as report:
        carry_out(distillation, wanted, out or folder / f"{preset}_live.safetensors", report)


def rollout_amounts(
    stages: Sequence[str], rollout: int | None, steps: int | None, rate: float | None
) -> dict[str, Any]:
    """Those that were given. Raises InputError for some of them without --rollout itself."""
    if rollout is None and "rollout" in stages:
        raise InputError("the stage rollout needs --rollout N, how many windows the student makes; give it, 3 will do")
    if rollout is None and (steps is not None or rate is not None):
        raise InputError("--rollout-steps and --rollout-rate are for --rollout N, which is not given; give all or none")
    return command.given(rollout=rollout, rollout_steps=steps, rollout_rate=rate)


def carry_out(distillation: Distillation, wanted: Sequence[str], out: Path, report: Reporter) -> None:
    """Do the `wanted` stages, and tell what came of them."""
    command.walk(report, wanted, {"clips": distillation.draw})
    if note := distillation.note():  # whatever is wanted: what is learnt later lacks these videos too
        report.note(note)
    if not command.walk(report, wanted, distillation.stages()):
        return
    facts: dict[str, object] = {"complete": True}
    text = ["done"]
    if "write" in wanted:
        distillation.write(out)
        facts["out"] = out
        text = [f"{out}: {out.stat().st_size / 1e6:.1f} MB"]
    if "measure" in wanted:
        measured = distillation.measure(command.teller(report))
        facts["measured"] = measured
        text += [f"{name} {value:.4f}" for name, value in measured.items()]
    report.result("\n".join(text), **facts)


def main() -> None:
    run(app)


if __name__ == "__main__":
    main()
