"""What a plan says of this service: the memory and the arithmetic of a clip by each profile, from counts alone.

Seconds it says where a card's data sheet says how fast the card is. Of a CPU `hp-trt plan --gpu here` measures them,
with the cores that clips need: a service says instead how fast its own clips were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engines.bundle import Bundle
from engines.errors import HpTrtError
from engines.families import find
from engines.gpu import Gpu, NoGpu, find_gpu
from hp_trt.config import RuntimeConfig
from hp_trt.interface.auto_family import settled_family
from hp_trt.measure.planning.gpus import find_card
from hp_trt.measure.planning.planned_model import PlannedModel, model_of_bundle
from hp_trt.measure.planning.predict import Card, need, predict
from hp_trt.profiles import Mode
from runtime.work import Work

FRAMES = 100  # of the clip, or the part of a stream, that is planned


@dataclass(frozen=True, kw_only=True)
class Planned:
    """Of one profile; None: nobody knows without measuring."""

    profile: str
    mode: Mode
    memory_bytes: int | None  # of the graphs, which grows little with the clip; an estimate
    flops: int | None
    seconds: float | None  # of the graphs
    device: str | None  # by whose data sheet they are


def plan_all(
    bundle: Bundle,
    profiles: Sequence[str],
    config: RuntimeConfig,
    gpu_of: Callable[[int], Gpu | NoGpu] = find_gpu,
) -> tuple[Planned, ...]:
    """A plan of each profile, on what `config` says. No graph is opened."""
    model = model_of_bundle(bundle)
    on_card, card = _device(bundle, config, gpu_of)
    return tuple(_planned(model, name, on_card, card) for name in profiles)


def _planned(model: PlannedModel, name: str, on_card: bool, card: Card | None) -> Planned:
    profile = model.room.profiles.find(name)
    try:
        work = model.room.work(model.room.fitted(profile, model), model, FRAMES)
        memory = need(model, work, on_card=on_card).total
        flops = sum(model.flops(call) for calls in work.graphs.values() for call in calls)
        seconds = None if card is None else _seconds(model, work, card)
    except HpTrtError:  # a graph that nobody has counted
        return Planned(profile=name, mode=profile.mode, memory_bytes=None, flops=None, seconds=None, device=None)
    device = None if card is None else card.name
    return Planned(
        profile=name, mode=profile.mode, memory_bytes=round(memory), flops=round(flops), seconds=seconds, device=device
    )


def _seconds(model: PlannedModel, work: Work, card: Card) -> float:
    return round(predict(model, work, card).total_s, 3)


def _device(bundle: Bundle, config: RuntimeConfig, gpu_of: Callable[[int], Gpu | NoGpu]) -> tuple[bool, Card | None]:
    """Whether graphs run on a card, and which, where its data sheet is known."""
    try:
        family = find(settled_family(bundle.path, config.family, config.device_id))
        if family.plans_for != "gpu" and config.provider == "cpu":
            return False, None
        gpu = gpu_of(config.device_id)
        if isinstance(gpu, Gpu):
            return True, Card(gpu=replace(find_card(gpu.name, gpu.capability), memory_bytes=gpu.total_bytes))
    except HpTrtError:
        return True, None
    return True, None
