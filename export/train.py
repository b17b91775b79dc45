"""`python -m export.train`: the weights of the presets that have some of their own, from nothing but seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engines.errors import InputError
from export.enhancer.training.stage_names import TRAINING as ENHANCER_STAGES
from export.hallo2.training.stage_names import TRAINING as TALK_STAGES
from export.hunyuanportrait.training.stage_names import TRAINING as POCKET_STAGES
from export.training import command
from export.weights.own import own_weights
from hp_trt.commands import options
from hp_trt.console import Reporter, run

if TYPE_CHECKING:
    from export.training.phase import Settings, Tell

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
STAGES: Mapping[str, tuple[str, ...]] = {
    "pocket": POCKET_STAGES,
    "talk_pocket": TALK_STAGES,
    "enhancer_pocket": ENHANCER_STAGES,
}
PRESET = f"What is trained: {' or '.join(STAGES)}."
STAGE = "Only these. " + "; ".join(f"{preset}: {', '.join(stages)}" for preset, stages in STAGES.items()) + "."
ESPEAK = "Share of the sentences that espeak speaks, which needs hp-trt[espeak] and is under the GPL [0]."
WORKERS = "Processes that draw, and on a CPU share the batches of long stages: with --threads 1, as many as cores."
PICTURES = "Share of the autoencoder's pictures that are no faces: scikit-image's samples and textures [0]."
STILL = "Share of the clips that are such a picture, which nobody moves [0]."
ROWS = "Times as many rows in a batch, for a GPU that fewer leave idle [1]."
BEGIN = "Weights to begin with, a file of this command [nothing]; `shipped`: those that come with the package."

# Options that say how much: of every preset, and of each alone, with the amount's name.
SHARED = (  # of those that are shown clips
    "clips", "frames", "autoencoder_steps", "decoder_steps", "workers", "varied", "pictures",
)  # fmt: skip
_POCKET = ("linear_steps", "motion_steps", "denoiser_steps", "made", "rows", "begin", "still")
_TALK = ("sentences", "espeak", "speech_steps", "lips_steps", "rolled", "steady_steps", "unet_steps", "spoken")
AMOUNTS: Mapping[str, Mapping[str, str]] = {
    "pocket": {"drivers": "driving_clips", **{name: name for name in _POCKET}},
    "talk_pocket": {name: name for name in _TALK},
    "enhancer_pocket": {"upscaler_steps": "upscaler_steps"},
}
NO_CLIPS = frozenset({"enhancer_pocket"})  # whose pictures are drawn as they are needed


@app.command()
def train(
    context: typer.Context,
    folder: command.RunFolder,
    preset: Annotated[str, typer.Option(help=PRESET)] = "pocket",
    stage: Annotated[list[str] | None, typer.Option(help=STAGE)] = None,
    minutes: command.Minutes = math.inf,
    clips: Annotated[int | None, command.counted("How many are drawn.")] = None,
    frames: Annotated[int | None, typer.Option(min=8, max=command.MOST_FRAMES, help="Of each clip.")] = None,
    drivers: Annotated[int | None, command.counted("How many are drawn for the motion networks.")] = None,
    linear_steps: command.Count = None,
    autoencoder_steps: command.Count = None,
    motion_steps: command.Count = None,
    denoiser_steps: command.Count = None,
    made: Annotated[int | None, command.counted("Clips that the denoiser makes for the decoder.")] = None,
    decoder_steps: command.Count = None,
    sentences: Annotated[int | None, command.counted("How many are synthesised; every clip says one.")] = None,
    espeak: Annotated[float | None, typer.Option(min=0, max=1, help=ESPEAK)] = None,
    speech_steps: command.Count = None,
    lips_steps: command.Count = None,
    rolled: Annotated[int | None, command.counted("Clips that talk_pocket goes through by itself.")] = None,
    steady_steps: command.Count = None,
    unet_steps: command.Count = None,
    spoken: Annotated[int | None, command.counted("Clips that talk_pocket makes for its decoder.")] = None,
    varied: command.Varied = None,
    pictures: Annotated[float | None, typer.Option(min=0, max=1, help=PICTURES)] = None,
    still: Annotated[float | None, typer.Option(min=0, max=1, help=STILL)] = None,
    rows: Annotated[int | None, typer.Option(min=1, max=64, help=ROWS)] = None,
    begin: Annotated[Path | None, typer.Option(help=BEGIN)] = None,
    upscaler_steps: command.Count = None,
    seed: command.RunSeed = 0,
    device: command.TorchDevice = "cpu",
    threads: command.TorchThreads = None,
    workers: Annotated[int, typer.Option(min=1, max=1024, help=WORKERS)] = 1,
    half: Annotated[bool | None, typer.Option(help="Compute in bfloat16 [pocket: yes, others: no].")] = None,
    out: Annotated[Path | None, typer.Option(help="The weights [RUN/PRESET.safetensors].")] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Train a preset on drawn portraits; killed at any moment, it resumes from its last saved state."""
    if preset not in STAGES:
        raise InputError(f"there is no preset {preset!r} that is trained; there are {', '.join(STAGES)}")
    wanted = command.chosen_stages(stage, STAGES[preset])
    command.check_written(folder, out, {})
    amounts = _amounts(preset, context.params)
    if begin == Path("shipped"):
        amounts["begin"] = own_weights(preset)
    from export.training.files import make_run_folder

    half = preset == "pocket" if half is None else half
    settings = command.run_settings(folder, device=device, threads=threads, half=half, seed=seed, minutes=minutes)
    make_run_folder(folder)
    stages, write = _training(preset, amounts, settings)
    with Reporter(as_json=json) as report:
        if command.walk(report, wanted, stages) and "write" in wanted:
            target = out or folder / f"{preset}.safetensors"
            write(target)
            report.result(f"{target}: {target.stat().st_size / 1e6:.1f} MB", out=target, complete=True)


def _amounts(preset: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What was given of the preset's amounts, by their names. Raises InputError for an amount of another preset."""
    given = command.given(**options)
    if others := [name for other, own in AMOUNTS.items() if other != preset for name in own if name in given]:
        named = " and ".join("--" + name.replace("_", "-") for name in others)
        raise InputError(f"{named} {'is' if len(others) == 1 else 'are'} not of {preset}; leave it out")
    if preset in NO_CLIPS:
        # The number of workers has a default, which is no question.
        if shared := [name for name in SHARED if given.get(name) not in (None, 1)]:
            named = " and ".join("--" + name.replace("_", "-") for name in shared)
            raise InputError(f"{named} {'is' if len(shared) == 1 else 'are'} not of {preset}; leave it out")
        given = {name: value for name, value in given.items() if name not in SHARED}
    names = {**{name: name for name in SHARED}, **AMOUNTS[preset]}
    return {amount: given[name] for name, amount in names.items() if name in given}


def _training(
    preset: str, amounts: Mapping[str, Any], settings: Settings
) -> tuple[Mapping[str, Callable[[Tell], bool | None]], Callable[[Path], None]]:
    """The stages of a preset before its weights are written, and what writes those. InputError for odd amounts."""
    if preset == "pocket":
        from export.hunyuanportrait.presets import POCKET
        from export.hunyuanportrait.training.training import Amounts, Training

        training = Training(POCKET, Amounts(**amounts), settings)
        return training.stages(), training.write
    if preset == "enhancer_pocket":
        from export.enhancer.presets import ENHANCER_POCKET
        from export.enhancer.training.training import Amounts as EnhancerAmounts
        from export.enhancer.training.training import Training as EnhancerTraining

        enlarging = EnhancerTraining(ENHANCER_POCKET, EnhancerAmounts(**amounts), settings)
        return enlarging.stages(), enlarging.write
    from export.hallo2.presets import TALK_POCKET
    from export.hallo2.training.training import Amounts as TalkAmounts
    from export.hallo2.training.training import Training as TalkTraining

    talking = TalkTraining(TALK_POCKET, TalkAmounts(**amounts), settings)
    return talking.stages(), talking.write


def main() -> None:
    run(app)


if __name__ == "__main__":
    main()
