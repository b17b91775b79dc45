"""One phase of training: steps that resume where they were killed, an average of the weights, a log of the loss.

Batch b of step n sees the same numbers whenever and wherever it runs: its randomness comes from the seed, n and b.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import InputError
from engines.foreign import reason
from engines.safe_output import refusing
from export.training.data_parallel import Share
from export.training.files import load_state, save_state

Modules = Mapping[str, nn.Module]
# The name of what is done, how much of it is, how much there is, and the losses.
Tell = Callable[[str, int, int, dict[str, float]], None]


class Phase(Protocol):
    """What is trained, on what, and how long."""

    name: str
    steps: int
    batches: int  # of a step, shared by the processes that train together
    learning_rate: float
    faster: Mapping[str, float]  # part of a parameter's name -> how many times that rate; most phases have none
    modules: Modules  # network name -> the network that is trained
    curves: tuple[str, ...]  # the losses that are logged; a step need not have all of them

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """One batch's losses by name; "loss" is the one to descend. What learns is the same in all of a step's."""
        ...

    def finish(self, modules: Modules) -> None:
        """Called once, at the end, with the averaged networks."""
        ...


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How every phase is run."""

    folder: Path  # the run's own
    device: torch.device
    half: bool = False  # compute in bfloat16 where that is safe
    seed: int = 0
    minutes: float = math.inf  # stop, resumable, after so long
    save_every_s: float = 60.0
    averaging: float = 0.998  # of the weights, a step
    share: Share = field(default_factory=Share)  # of the batches


def train(phase: Phase, settings: Settings, tell: Tell) -> bool:
    """Train `phase` to its end, or until the minutes are over; returns whether it is complete.

    The losses that are told and logged are of this process's batches. Raises InputError for a state of other sizes.
    """
    with refusing(settings.folder):
        settings.folder.mkdir(parents=True, exist_ok=True)
    path = settings.folder / f"{phase.name}.pt"
    parameters = [p for m in phase.modules.values() for p in m.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(_groups(phase), betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    average = {n: {k: v.detach().clone() for k, v in m.state_dict().items()} for n, m in phase.modules.items()}
    step = 0
    if path.exists():
        step = _resume(path, phase, average, optimizer, settings)
    # Views of the parameters, averaged in one call: a GPU waits for every call.
    pairs = [(average[n][k], v) for n, m in phase.modules.items() for k, v in m.state_dict().items()]
    kept, newest = ([pair[i] for pair in pairs if pair[1].is_floating_point()] for i in (0, 1))
    counted = [pair for pair in pairs if not pair[1].is_floating_point()]
    share = settings.share
    started = saved = time.perf_counter()
    mean: dict[str, float] = {}
    while step < phase.steps:
        if share.any(time.perf_counter() - started > settings.minutes * 60):
            if share.leads:
                _save(path, phase, average, optimizer, step)
            return False
        for group in optimizer.param_groups:
            group["lr"] = group["factor"] * phase.learning_rate * _pace(step, phase.steps)
        optimizer.zero_grad(set_to_none=True)
        for batch in range(share.process, phase.batches, share.processes):
            rng = np.random.default_rng([settings.seed, step, batch])
            torch.manual_seed(int(rng.integers(2**31)))
            with torch.autocast(settings.device.type, torch.bfloat16, enabled=settings.half):
                losses = phase.loss(step, rng)
            (losses["loss"] / phase.batches).backward()
            for name, value in losses.items():
                mean[name] = 0.98 * mean.get(name, float(value.detach())) + 0.02 * float(value.detach())
        share.add_up(parameters)
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"the gradient of {phase.name} is not finite at step {step}; lower the rate")
        optimizer.step()
        step += 1
        decay = min(settings.averaging, (1 + step) / (10 + step))
        torch._foreach_lerp_(kept, newest, 1 - decay)
        for old, value in counted:
            old.copy_(value)
        if not share.leads:
            continue
        if step % 20 == 0 or step == phase.steps:
            tell(phase.name, step, phase.steps, mean)
        if step % 100 == 0 or step == phase.steps:
            _log(settings.folder / f"{phase.name}.csv", step, mean, phase.curves)
        if time.perf_counter() - saved > settings.save_every_s or step == phase.steps:
            _save(path, phase, average, optimizer, step)
            saved = time.perf_counter()
    for name, module in phase.modules.items():
        module.load_state_dict(average[name])
    return True


def _groups(phase: Phase) -> list[dict]:
    """The optimizer's groups, of each learning rate one."""
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    for module in phase.modules.values():
        for name, parameter in module.named_parameters():
            factor = max((phase.faster[part] for part in phase.faster if part in name), default=1.0)
            if parameter.requires_grad:
                groups.setdefault(factor, []).append(parameter)
    return [{"params": parameters, "factor": factor} for factor, parameters in groups.items()]


def _pace(step: int, steps: int) -> float:
    """The learning rate's part of its peak: a short rise, then half a cosine down to a fiftieth."""
    rise = min(1.0, (step + 1) / 200)
    return rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))


def _save(path: Path, phase: Phase, average: dict, optimizer: torch.optim.Optimizer, step: int) -> None:
    state = {
        "step": step,
        "weights": {n: m.state_dict() for n, m in phase.modules.items()},
        "average": average,
        "optimizer": optimizer.state_dict(),
    }
    save_state(path, state)


def _resume(path: Path, phase: Phase, average: dict, optimizer: torch.optim.Optimizer, settings: Settings) -> int:
    state = load_state(path)
    try:
        for name, module in phase.modules.items():
            module.load_state_dict(state["weights"][name])
            average[name] = {k: v.to(settings.device) for k, v in state["average"][name].items()}
        optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        first = reason(error)
        raise InputError(f"{path} belongs to other networks ({first}); give the run another folder") from error


def _log(path: Path, step: int, mean: Mapping[str, float], curves: Sequence[str]) -> None:
    """One more line of the loss curve. Lines of steps that are trained again after a kill come twice."""
    line = [step, *(f"{mean.get(name, math.nan):.6g}" for name in curves)]
    with refusing(path), open(path, "ab", buffering=0) as file:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([["step", *curves], line] if file.tell() == 0 else [line])
        file.write(text.getvalue().encode())  # in one piece: a kill leaves no half of a line
