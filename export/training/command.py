"""What the commands `train` and `distill` share: their common options, checked, and how a stage's progress is told.

torch is imported where it is needed: `--help` and a misspelt stage are answered without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import InputError
from hp_trt.console import Reporter

if TYPE_CHECKING:
    import torch


def chosen_stages(named: Sequence[str] | None, stages: Sequence[str]) -> tuple[str, ...]:
    """Those that --stage names, or else all `stages`. Raises InputError for a name that none of them has."""
    wanted = tuple(named or stages)
    for name in wanted:
        if name not in stages:
            raise InputError(f"there is no stage {name!r}; there are {', '.join(stages)}")
    return wanted


def compute_on(name: str, threads: int | None) -> torch.device:
    """The device called `name`, and so many CPU threads from now on. Raises InputError where it cannot be used."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"the device {name!r} cannot be used ({str(error).splitlines()[0]}); try cpu") from error
    return device


def make_run_folder(folder: Path) -> None:
    """Make it, and rid it of what killed processes left half written. Raises InputError where it cannot be made."""
    from export.training.files import sweep

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be the folder of a run ({error.strerror}); choose another") from error
    sweep(folder)


def teller(report: Reporter) -> Callable[[str, int, int, dict[str, float]], None]:
    """What stages call with their name, the steps done, all steps and the losses: a bar with the losses beside it."""

    def tell(name: str, done: int, total: int, losses: dict[str, float]) -> None:
        facts = {k: round(v, 5) for k, v in losses.items()}
        label = name + "".join(f" {k} {v:.4g}" for k, v in facts.items())
        report.advance(name, done, total, label=label, **facts)

    return tell
