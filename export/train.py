"""`python -m export.train`: the pocket weights, from nothing but seeds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from export.training.command import chosen_stages, compute_on, make_run_folder, teller
from hp_trt.console import Reporter, debug_option, json_option, run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
STAGES = ("clips", "autoencoder", "motion", "latents", "features", "denoiser", "made", "decoder", "write")


@app.command()
def train(
    folder: Annotated[Path, typer.Option("--run", help="Folder of this run; started again, it goes on from there.")],
    stage: Annotated[list[str] | None, typer.Option(help=f"Only these of {', '.join(STAGES)}.")] = None,
    minutes: Annotated[float, typer.Option(help="Stop each stage after so long; the next call goes on.")] = math.inf,
    clips: Annotated[int | None, typer.Option(min=1, help="How many are drawn.")] = None,
    frames: Annotated[int | None, typer.Option(min=8, help="Of each clip.")] = None,
    drivers: Annotated[int | None, typer.Option(min=1, help="How many are drawn for the motion networks.")] = None,
    autoencoder_steps: Annotated[int | None, typer.Option(min=1)] = None,
    motion_steps: Annotated[int | None, typer.Option(min=1)] = None,
    denoiser_steps: Annotated[int | None, typer.Option(min=1)] = None,
    made: Annotated[int | None, typer.Option(min=1, help="Clips that the denoiser makes for the decoder.")] = None,
    decoder_steps: Annotated[int | None, typer.Option(min=1)] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads [every core].")] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            help="Processes that draw, and that share the batches of long stages: with --threads 1, as many as cores.",
        ),
    ] = 1,
    half: Annotated[bool, typer.Option(help="Compute in bfloat16.")] = True,
    out: Annotated[Path | None, typer.Option(help="The weights [RUN/pocket.safetensors].")] = None,
    json: Annotated[bool, json_option()] = False,
    debug: Annotated[bool, debug_option()] = False,
) -> None:
    """Train the pocket preset on drawn portraits; killed at any moment, it resumes from its last saved state."""
    wanted = chosen_stages(stage, STAGES)
    from export.hunyuanportrait.presets import POCKET
    from export.hunyuanportrait.training.training import Plan, Training
    from export.training.stage import Settings

    where = compute_on(device, threads)
    given = {
        "clips": clips,
        "frames": frames,
        "drivers": drivers,
        "autoencoder_steps": autoencoder_steps,
        "motion_steps": motion_steps,
        "denoiser_steps": denoiser_steps,
        "made": made,
        "decoder_steps": decoder_steps,
        "workers": workers,
    }
    plan = Plan(**{name: value for name, value in given.items() if value is not None})
    make_run_folder(folder)
    settings = Settings(folder=folder, device=where, half=half, seed=seed, minutes=minutes)
    training = Training(POCKET, plan, settings)
    with Reporter(as_json=json) as report:
        tell = teller(report)
        steps = {
            "clips": training.draw,
            "autoencoder": training.autoencoder,
            "motion": training.motion,
            "latents": training.latents,
            "features": training.features,
            "denoiser": training.denoiser,
            "made": training.made,
            "decoder": training.decoder,
        }
        for name, act in steps.items():
            if name in wanted and act(tell) is False:
                report.result(f"{name} is not complete yet; the same command goes on", stage=name, complete=False)
                return
        if "write" in wanted:
            target = out or folder / "pocket.safetensors"
            training.write(target)
            report.result(f"{target}: {target.stat().st_size / 1e6:.1f} MB", out=target, complete=True)


def main() -> None:
    run(app)


if __name__ == "__main__":
    main()
