"""`python -m export.distill`: live mode's networks from a bundle's weights: a UNet of one to four steps without
guidance rows, and a tiny decoder. What is learnt is in `student.py` and `tiny_decoder.py`.

The preset pocket is distilled on people that `procedural/` draws, or on videos. The published weights know no drawn
people, so they need videos: a folder of them, from which the clips are cut as the runtime would see them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engines.errors import InputError
from export.training.command import chosen_stages, compute_on, make_run_folder, teller
from hp_trt.console import Reporter, debug_option, json_option, run

if TYPE_CHECKING:
    from export.hunyuanportrait.training.recorded import Recording

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
STAGES = ("clips", "latents", "features", "student", "made", "decoded", "tiny_decoder", "write", "measure")


@app.command()
def distill(
    folder: Annotated[Path, typer.Option("--run", help="Folder of this run; started again, it goes on from there.")],
    preset: Annotated[str, typer.Option(help="hunyuanportrait (needs a large GPU) or pocket.")] = "pocket",
    weights: Annotated[
        Path | None,
        typer.Option(help="The teacher: upstream's pretrained_weights, or a file of export.train [pocket: its own]."),
    ] = None,
    videos: Annotated[
        Path | None, typer.Option(help="Folder of videos to learn from, one talking face each [pocket: drawn people].")
    ] = None,
    locator: Annotated[str, typer.Option(help="Face finder in the videos: haar, yunet or yoloface.")] = "haar",
    locator_file: Annotated[Path | None, typer.Option(help="The face finder's own file.")] = None,
    arcface: Annotated[
        Path | None, typer.Option(help="arcface.onnx, for the identity vector [the weights folder's, if it has one].")
    ] = None,
    stage: Annotated[list[str] | None, typer.Option(help=f"Only these of {', '.join(STAGES)}.")] = None,
    minutes: Annotated[float, typer.Option(help="Stop each stage after so long; the next call goes on.")] = math.inf,
    clips: Annotated[int | None, typer.Option(min=1, help="How many are drawn, or cut at most.")] = None,
    frames: Annotated[int | None, typer.Option(min=25, help="Of each clip.")] = None,
    student_steps: Annotated[int | None, typer.Option(min=1, help="[1700, hunyuanportrait 4000]")] = None,
    student_rate: Annotated[
        float | None, typer.Option(min=1e-9, help="Learning rate at its peak [1e-3, hunyuanportrait 1e-5].")
    ] = None,
    batch_frames: Annotated[
        int | None, typer.Option(min=5, help="Most frames of a batch of the student's: fewer take less memory [25].")
    ] = None,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Compute the student's blocks twice, in less memory.")
    ] = False,
    made: Annotated[int | None, typer.Option(min=1, help="Clips that the teacher makes for the decoder.")] = None,
    decoder_steps: Annotated[int | None, typer.Option(min=1)] = None,
    held_out: Annotated[int | None, typer.Option(min=1, help="Other clips, to measure with.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads [every core].")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 1,
    half: Annotated[bool, typer.Option(help="Compute in bfloat16.")] = True,
    out: Annotated[Path | None, typer.Option(help="The weights [RUN/PRESET_live.safetensors].")] = None,
    json: Annotated[bool, json_option()] = False,
    debug: Annotated[bool, debug_option()] = False,
) -> None:
    """Distil a preset for live mode; killed at any moment, it resumes from its last saved state."""
    wanted = chosen_stages(stage, STAGES)
    from export.build import check_preset
    from export.hunyuanportrait.presets import PRESETS
    from export.hunyuanportrait.training.distillation import Distillation, DistillPlan
    from export.hunyuanportrait.training.recorded import RecordedClips
    from export.training.stage import Settings
    from export.weights.source import open_source, own_weights

    check_preset(preset)
    drawn = preset == "pocket"  # whether the teacher knows people that are drawn
    if videos is None and not drawn:
        raise InputError(
            f"{preset} needs --videos FOLDER: its weights know filmed people, and only pocket's know drawn ones"
        )
    if weights is None and not drawn:
        raise InputError(
            f"{preset} needs --weights DIR, upstream's pretrained_weights folder; only pocket has weights of its own"
        )
    if videos is None and (locator != "haar" or locator_file or arcface):
        raise InputError("--locator, --locator-file and --arcface are for --videos; give a folder of them, or none")
    where = compute_on(device, threads)
    recording = None if videos is None else recording_of(videos, locator, locator_file, arcface, weights)
    chosen = PRESETS[preset]
    teacher = open_source(chosen.architecture, weights or own_weights(preset), preset=preset)
    given: dict[str, Any] = {
        "clips": clips,
        "frames": frames,
        "student_steps": student_steps or (None if drawn else 4000),
        "student_rate": student_rate or (None if drawn else 1e-5),
        "batch_frames": batch_frames,
        "checkpointing": checkpointing,
        "made": made,
        "decoder_steps": decoder_steps,
        "held_out": held_out,
        "workers": workers,
    }
    plan = DistillPlan(**{name: value for name, value in given.items() if value is not None})
    make_run_folder(folder)
    # A state of the full size is 25 GB: written every minute, it would be all that is done.
    save_every_s = 60.0 if drawn else 1800.0
    settings = Settings(folder=folder, device=where, half=half, seed=seed, minutes=minutes, save_every_s=save_every_s)
    recorded = None
    if recording is not None:
        recorded = RecordedClips(
            folder=folder / "clips",
            recording=recording,
            count=plan.clips,
            held_out=plan.held_out,
            frames=plan.frames,
            px=chosen.size,
            motion_px=chosen.motion_px,
        )
    run_of = Distillation(chosen, plan, settings, teacher, recorded=recorded)
    with Reporter(as_json=json) as report:
        tell = teller(report)
        steps = {
            "clips": run_of.draw,
            "latents": run_of.latents,
            "features": run_of.features,
            "student": run_of.student,
            "made": run_of.made,
            "decoded": run_of.decoded,
            "tiny_decoder": run_of.tiny_decoder,
        }
        for name, act in steps.items():
            if name in wanted and act(tell) is False:
                report.result(f"{name} is not complete yet; the same command goes on", stage=name, complete=False)
                return
            if name == "clips" and recorded and (note := recorded.note()):
                report.note(note)
        facts: dict[str, object] = {"complete": True}
        text = ["done"]
        if "write" in wanted:
            target = out or folder / f"{preset}_live.safetensors"
            run_of.write(target)
            facts["out"] = target
            text = [f"{target}: {target.stat().st_size / 1e6:.1f} MB"]
        if "measure" in wanted:
            measured = run_of.measure(tell)
            facts["measured"] = measured
            text += [f"{name} {value:.4f}" for name, value in measured.items()]
        report.result("\n".join(text), **facts)


def recording_of(
    videos: Path, locator: str, locator_file: Path | None, arcface: Path | None, weights: Path | None
) -> Recording:
    """What to cut clips from. ArcFace is the given one, or the one in upstream's folder `weights`.

    Raises InputError for a face finder or a folder that cannot be used, before anything is done.
    """
    from export.hunyuanportrait.training.recorded import Recording
    from export.hunyuanportrait.upstream import find_user_files
    from hp_trt.config import RuntimeConfig
    from hp_trt.faces.arcface import open_arcface
    from hp_trt.faces.locators import open_locator

    if arcface is None and weights is not None and weights.is_dir():
        arcface = find_user_files(weights).get("arcface")
    RuntimeConfig(locator=locator, locator_file=locator_file)  # type: ignore[arg-type]  # checked there
    recording = Recording(videos=videos, locator=locator, locator_file=locator_file, arcface=arcface)  # type: ignore[arg-type]
    recording.files()
    open_locator(recording.locator, recording.locator_file)
    if arcface is not None:
        open_arcface(arcface)
    return recording


def main() -> None:
    run(app)


if __name__ == "__main__":
    main()
