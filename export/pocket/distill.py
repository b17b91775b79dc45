"""`python -m export.pocket.distill`: live mode's networks from a bundle's weights: a UNet of one to four steps without
guidance rows, and a tiny decoder. What is learnt is in `student.py` and `tiny_decoder.py`.

It knows people that `procedural/` draws and weights in one file, which is the preset pocket. The full-size networks
would need other data: clips of real people, with landmarks and an identity embedding each, which nothing here reads.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from engines.errors import InputError
from hp_trt.console import Reporter, debug_option, json_option, run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
STAGES = ("clips", "latents", "features", "student", "made", "decoded", "tiny_decoder", "write", "measure")


@app.command()
def distill(
    folder: Annotated[Path, typer.Option("--run", help="Folder of this run; started again, it goes on from there.")],
    weights: Annotated[
        Path | None, typer.Option(help="The teacher: a .safetensors file of export.pocket.train [the package's own].")
    ] = None,
    stage: Annotated[list[str] | None, typer.Option(help=f"Only these of {', '.join(STAGES)}.")] = None,
    minutes: Annotated[float, typer.Option(help="Stop each stage after so long; the next call goes on.")] = math.inf,
    clips: Annotated[int | None, typer.Option(min=1, help="How many are drawn.")] = None,
    frames: Annotated[int | None, typer.Option(min=25, help="Of each clip.")] = None,
    student_steps: Annotated[int | None, typer.Option(min=1)] = None,
    made: Annotated[int | None, typer.Option(min=1, help="Clips that the teacher makes for the decoder.")] = None,
    decoder_steps: Annotated[int | None, typer.Option(min=1)] = None,
    held_out: Annotated[int | None, typer.Option(min=1, help="Other clips, to measure with.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads [every core].")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 1,
    half: Annotated[bool, typer.Option(help="Compute in bfloat16.")] = True,
    out: Annotated[Path | None, typer.Option(help="The weights [RUN/pocket_live.safetensors].")] = None,
    json: Annotated[bool, json_option()] = False,
    debug: Annotated[bool, debug_option()] = False,
) -> None:
    """Distil the pocket preset for live mode; killed at any moment, it resumes from its last saved state."""
    wanted = tuple(stage or STAGES)
    for name in wanted:
        if name not in STAGES:
            raise InputError(f"there is no stage {name!r}; there are {', '.join(STAGES)}")
    import torch

    from export.pocket.distillation import Distillation, DistillPlan
    from export.pocket.files import sweep
    from export.pocket.stage import Settings
    from export.pocket.weights import PackedWeights
    from export.presets import POCKET
    from export.weights_source import own_weights

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        where = torch.device(device)
        torch.zeros(1, device=where)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"the device {device!r} cannot be used ({str(error).splitlines()[0]}); try cpu") from error
    if weights is not None and weights.is_dir():
        raise InputError(
            f"{weights} is a folder: the published weights cannot be distilled here, there is no data for them; give "
            "a .safetensors file of export.pocket.train"
        )
    teacher = PackedWeights(POCKET.architecture, weights or own_weights("pocket"), preset="pocket")
    given = {
        "clips": clips,
        "frames": frames,
        "student_steps": student_steps,
        "made": made,
        "decoder_steps": decoder_steps,
        "held_out": held_out,
        "workers": workers,
    }
    plan = DistillPlan(**{name: value for name, value in given.items() if value is not None})
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be the folder of a run ({error.strerror}); choose another") from error
    sweep(folder)
    settings = Settings(folder=folder, device=where, half=half, seed=seed, minutes=minutes)
    run_of = Distillation(POCKET, plan, settings, teacher)
    with Reporter(as_json=json) as report:

        def tell(name: str, done: int, total: int, losses: dict[str, float]) -> None:
            facts = {k: round(v, 5) for k, v in losses.items()}
            label = name + "".join(f" {k} {v:.4g}" for k, v in facts.items())
            report.advance(name, done, total, label=label, **facts)

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
        facts: dict[str, object] = {"complete": True}
        text = ["done"]
        if "write" in wanted:
            target = out or folder / "pocket_live.safetensors"
            run_of.write(target)
            facts["out"] = target
            text = [f"{target}: {target.stat().st_size / 1e6:.1f} MB"]
        if "measure" in wanted:
            measured = run_of.measure(tell)
            facts["measured"] = measured
            text += [f"{name} {value:.4f}" for name, value in measured.items()]
        report.result("\n".join(text), **facts)


def main() -> None:
    run(app)


if __name__ == "__main__":
    main()
