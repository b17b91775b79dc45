"""`python -m export.train`: the weights of the presets that come with the package, from nothing but seeds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from export.hunyuanportrait.training.stage_names import TRAINING
from export.training import command
from hp_trt.commands import options
from hp_trt.console import Reporter, run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
WORKERS = "Processes that draw, and that share the batches of long stages: with --threads 1, as many as cores."


@app.command()
def train(
    folder: command.RunFolder,
    stage: Annotated[list[str] | None, typer.Option(help=f"Only these of {', '.join(TRAINING)}.")] = None,
    minutes: command.Minutes = math.inf,
    clips: Annotated[int | None, typer.Option(min=1, max=command.MOST, help="How many are drawn.")] = None,
    frames: Annotated[int | None, typer.Option(min=8, max=command.MOST_FRAMES, help="Of each clip.")] = None,
    drivers: Annotated[
        int | None, typer.Option(min=1, max=command.MOST, help="How many are drawn for the motion networks.")
    ] = None,
    autoencoder_steps: command.Count = None,
    motion_steps: command.Count = None,
    denoiser_steps: command.Count = None,
    made: Annotated[
        int | None, typer.Option(min=1, max=command.MOST, help="Clips that the denoiser makes for the decoder.")
    ] = None,
    decoder_steps: command.Count = None,
    seed: command.RunSeed = 0,
    device: command.TorchDevice = "cpu",
    threads: command.TorchThreads = None,
    workers: Annotated[int, typer.Option(min=1, max=1024, help=WORKERS)] = 1,
    half: command.Half = True,
    out: Annotated[Path | None, typer.Option(help="The weights [RUN/pocket.safetensors].")] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Train the pocket preset on drawn portraits; killed at any moment, it resumes from its last saved state."""
    wanted = command.chosen_stages(stage, TRAINING)
    command.check_written(folder, out, {})
    from export.hunyuanportrait.presets import POCKET
    from export.hunyuanportrait.training.training import Amounts, Training
    from export.training.files import make_run_folder

    amounts = command.given(
        clips=clips,
        frames=frames,
        driving_clips=drivers,
        autoencoder_steps=autoencoder_steps,
        motion_steps=motion_steps,
        denoiser_steps=denoiser_steps,
        made=made,
        decoder_steps=decoder_steps,
        workers=workers,
    )
    settings = command.run_settings(folder, device=device, threads=threads, half=half, seed=seed, minutes=minutes)
    make_run_folder(folder)
    training = Training(POCKET, Amounts(**amounts), settings)
    with Reporter(as_json=json) as report:
        if command.walk(report, wanted, training.stages()) and "write" in wanted:
            target = out or folder / "pocket.safetensors"
            training.write(target)
            report.result(f"{target}: {target.stat().st_size / 1e6:.1f} MB", out=target, complete=True)


def main() -> None:
    run(app)


if __name__ == "__main__":
    main()
