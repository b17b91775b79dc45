"""What the commands `train` and `distill` share: options, checks, and the walk through the stages.

A stage is what the option `--stage` names: it draws, trains a phase, looks with frozen networks, or writes. torch is
imported where it is needed: `--help` and a misspelt stage are answered without it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engines.cores import MOST_THREADS
from engines.errors import InputError
from engines.safe_output import check_folder, check_outputs
from hp_trt.commands.options import MOST_SEED, folder
from hp_trt.console import Reporter

if TYPE_CHECKING:
    import torch

    from export.training.phase import Settings, Tell

MOST = 100_000_000  # of anything that is counted
MOST_FRAMES = 10_000  # of a clip

RunFolder = Annotated[
    Path,
    typer.Option(
        "--run", parser=folder, metavar="PATH", help="Folder of this run; started again, it goes on from there."
    ),
]
Minutes = Annotated[float, typer.Option(min=0, help="Stop each stage after so long; the next call goes on.")]
RunSeed = Annotated[int, typer.Option(min=0, max=MOST_SEED)]
TorchDevice = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
TorchThreads = Annotated[int | None, typer.Option(min=1, max=MOST_THREADS, help="CPU threads [every core].")]
Half = Annotated[bool, typer.Option(help="Compute in bfloat16.")]
Varied = Annotated[float | None, typer.Option(min=0, max=1, help="Share of the people who are drawn with variety [0].")]
Count = Annotated[int | None, typer.Option(min=1, max=MOST)]


def counted(help_text: str) -> Any:
    """An option that says how many of something there are."""
    return typer.Option(min=1, max=MOST, help=help_text)


def chosen_stages(named: Sequence[str] | None, stages: Sequence[str]) -> tuple[str, ...]:
    """Those that --stage names, or else all `stages`. Raises InputError for a name that none of them has."""
    wanted = tuple(named or stages)
    for name in wanted:
        if name not in stages:
            raise InputError(f"there is no stage {name!r}; there are {', '.join(stages)}")
    return wanted


def check_written(run: Path, out: Path | None, inputs: Mapping[str, Path | None]) -> None:
    """Look at the run's folder and the file of weights, before the long work. Raises OutputError and InputError."""
    check_folder(run, inputs)
    if out is not None and os.path.realpath(out) == os.path.realpath(run):
        raise InputError(f"{out} would be the run's folder and the file of weights; give one of them another name")
    made_later = out is not None and run in out.parents and not run.exists()
    if not made_later:
        check_outputs({"the file of weights": out}, inputs, suffixes=(".safetensors",))


def given(**options: Any) -> dict[str, Any]:
    """The options that were given a value; the others keep their defaults."""
    return {name: value for name, value in options.items() if value is not None}


def run_settings(folder: Path, *, device: str, threads: int | None, half: bool, seed: int, minutes: float) -> Settings:
    """How a run goes, by the options of those names; the process computes with so many CPU threads from now on.

    Raises InputError for a device that cannot be used.
    """
    from export.training.phase import Settings

    where = _compute_on(device, threads)
    return Settings(folder=folder, device=where, half=half, seed=seed, minutes=minutes)


def _compute_on(name: str, threads: int | None) -> torch.device:
    """The device called `name`."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"the device {name!r} cannot be used ({str(error).splitlines()[0]}); try cpu") from error
    return device


def walk(report: Reporter, wanted: Sequence[str], stages: Mapping[str, Callable[[Tell], bool | None]]) -> bool:
    """Do those of `stages` that are wanted, in their order. A stage that answers False is not complete: then the report
    says so, the rest is left for the next call, and the answer is False."""
    tell = teller(report)
    for name, act in stages.items():
        if name in wanted and act(tell) is False:
            report.result(f"{name} is not complete yet; the same command goes on", stage=name, complete=False)
            return False
    return True


def teller(report: Reporter) -> Tell:
    """What stages call with their name, the steps done, all steps and the losses: a bar with the losses beside it."""

    def tell(name: str, done: int, total: int, losses: dict[str, float]) -> None:
        facts = {k: round(v, 5) for k, v in losses.items()}
        label = name + "".join(f" {k} {v:.4g}" for k, v in facts.items())
        report.advance(name, done, total, label=label, **facts)

    return tell
