"""How long work takes, and how much memory: from counts and the speed of a device.

A graph call takes as long as its arithmetic or its memory traffic, whichever is longer, and a launch. In clip mode
stages follow one another. In live mode they overlap: a window takes as long as the slowest of what runs beside each
other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from hp_trt.measure.planning.gpus import LAUNCH_S, Gpu
from hp_trt.measure.planning.planned_model import Order, PlannedModel, clips_of, rounds
from hp_trt.measure.planning.spread import Spread
from runtime.work import Call, Work

CUDA_CONTEXT_BYTES = 500 * 2**20  # of the driver and its libraries: an assumption


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Seconds of something, of one core or many."""

    seconds: float
    core_s: float  # the cores' time; 0 where a card does it
    bound: str  # "arithmetic" | "memory" | "launch" | "measured"


class Speed(Protocol):
    """A device, as a plan sees it."""

    @property
    def name(self) -> str: ...
    @property
    def cores(self) -> float: ...
    @property
    def memory_bytes(self) -> int | None: ...  # of a card; None: it has none of its own
    @property
    def takes_turns(self) -> bool: ...  # graphs of a live session run one after the other

    def graph(self, model: PlannedModel, call: Call) -> Timed:
        """All times of a call."""
        ...

    def host(self, stage: str, pieces: int) -> Timed | None:
        """The host's work; None where nobody measured it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card by its data sheet. `assumed`: the part of its peaks that whole networks reach, in place of the card's."""

    gpu: Gpu
    assumed: float | None = None
    cores: float = 1.0

    @property
    def name(self) -> str:
        return self.gpu.name

    @property
    def attainable(self) -> float:
        return self.gpu.attainable if self.assumed is None else self.assumed

    @property
    def memory_bytes(self) -> int | None:
        return self.gpu.memory_bytes

    @property
    def takes_turns(self) -> bool:
        return True

    def graph(self, model: PlannedModel, call: Call) -> Timed:
        return self.timed(model.flops(call), model.bytes(call), model.of_call(call).dtype, times=call.times)

    def timed(self, flops: float, moved_bytes: float, dtype: str, *, times: int) -> Timed:
        """So much arithmetic and memory traffic, in `times` calls of a graph."""
        arithmetic_s = flops / (self.attainable * self.gpu.peak(dtype))
        memory_s = moved_bytes / (self.attainable * self.gpu.bandwidth)
        launch_s = times * LAUNCH_S
        parts = {"arithmetic": arithmetic_s, "memory": memory_s, "launch": launch_s}
        seconds = max(arithmetic_s, memory_s) + launch_s
        return Timed(seconds=seconds, core_s=0.0, bound=max(parts, key=parts.__getitem__))

    def host(self, stage: str, pieces: int) -> Timed | None:
        return None


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """One stage of all the work."""

    stage: str
    seconds: float | None  # None: the host's, not measured
    core_s: float
    flops: float
    bytes: float  # at the least
    bound: str


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes that a run needs on the device. It does not grow with the clip but for `clip`."""

    weights: float
    activations: float  # of the most demanding graph, because graphs take turns; live, of the decoder as well
    clip: float  # tokens, latents, velocities, the stitch's matrix
    context: float

    @property
    def total(self) -> float:
        return self.weights + self.activations + self.clip + self.context


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a plan says. Seconds are of the whole clip unless a name says otherwise."""

    work: Work
    stages: tuple[StageCost, ...]
    total_s: float  # of what is known: see `missing`
    window_s: float  # clip: of a window, all its steps; live: from one window's end to the next one's
    frames_per_s: float
    latency_s: float  # clip: from the call to the first frame; live: of a frame, glass to glass
    memory: Memory
    missing: tuple[str, ...]  # stages in no number
    spread: Spread | None = None  # over several devices

    @property
    def flops(self) -> float:
        return sum(stage.flops for stage in self.stages)

    @property
    def clips_per_s(self) -> float:
        """Of what is made in clips, one after the other."""
        return clips_of(self.work) / self.total_s if self.work.mode == "clip" else 1 / self.window_s

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        work = self.work
        return {
            "mode": work.mode,
            "frames": work.frames,
            "steps": work.steps,
            "rows": work.rows,
            "windows": work.windows,
            "window": work.window,
            "new_frames": work.new_frames,
            "row_forwards": work.row_forwards,
            "stages": [asdict(stage) for stage in self.stages],
            "flops": self.flops,
            "bytes": sum(stage.bytes for stage in self.stages),
            "total_s": self.total_s,
            "window_s": self.window_s,
            "frames_per_s": self.frames_per_s,
            "latency_s": self.latency_s,
            "memory": asdict(self.memory) | {"total": self.memory.total},
            "missing": list(self.missing),
            "spread": None if self.spread is None else asdict(self.spread),
        }


def predict(
    model: PlannedModel, work: Work, speed: Speed, *, rate: float = 25.0, spread: Spread | None = None
) -> Prediction:
    """`rate`: driving frames a second, which a live window waits for. `spread`: of a clip, over several devices."""
    stages = []
    order = model.room.order
    for name in order.stages:
        stages.append(_graphs(name, model, work, speed) if name in work.graphs else _host(name, work, speed))
    if spread is not None:
        stages = [replace(stage, seconds=spread.seconds(stage.stage, stage.seconds)) for stage in stages]
    seconds = {stage.stage: stage.seconds or 0.0 for stage in stages}
    memory = need(model, work, on_card=speed.memory_bytes is not None)
    missing = tuple(stage.stage for stage in stages if stage.seconds is None)
    if work.mode == "clip":
        total_s = sum(seconds.values())
        return Prediction(
            work=work,
            stages=tuple(stages),
            total_s=total_s,
            window_s=(seconds["denoise"] + seconds["stitch"]) / (work.windows * rounds(work)),
            frames_per_s=work.frames / total_s,
            latency_s=total_s - seconds["write"] - model.room.later_s(work, seconds),
            memory=memory,
            missing=missing,
            spread=spread,
        )
    window_s = _live_window_s(stages, work, speed, order)
    device_s = sum(seconds[name] for name in order.on_device) / work.windows
    host_s = sum(seconds[name] for name in order.on_host) / work.frames
    before_s = sum(seconds[name] for name in order.before)
    return Prediction(
        work=work,
        stages=tuple(stages),
        total_s=before_s + work.windows * window_s,
        window_s=window_s,
        frames_per_s=work.new_frames / window_s,
        # The window's first frame waits for its last; then all of them are made together. As the session counts: from
        # the push of the driving frame until the frame can be pulled.
        latency_s=(work.new_frames - 1 + order.ahead) / rate + host_s + device_s,
        memory=memory,
        missing=missing,
    )


def need(model: PlannedModel, work: Work, *, on_card: bool) -> Memory:
    """Memory of a run, an estimate: activations as PyTorch would hold them with nothing fused but attention."""
    calls = [call for calls in work.graphs.values() for call in calls]
    graphs = {call.graph: model.of_call(call) for call in calls}
    held = {
        stage: max((call.units * graphs[call.graph].held_bytes for call in calls), default=0.0)
        for stage, calls in work.graphs.items()
    }
    others = [most for stage, most in held.items() if stage != "decode"]
    return Memory(
        weights=sum(cost.weight_bytes for cost in graphs.values()),
        # A live window is decoded while the next one is denoised: then the decoder has memory of its own.
        activations=max(held.values()) if work.mode == "clip" else max(others) + held["decode"],
        clip=model.room.clip_bytes(work, model),
        context=float(CUDA_CONTEXT_BYTES) if on_card else 0.0,
    )


def _live_window_s(stages: list[StageCost], work: Work, speed: Speed, order: Order) -> float:
    """The slowest of what runs beside each other: on a CPU each of a session's threads, and all cores together; the
    graphs share a card, and a CPU of few cores."""
    every = [name for lane in order.lanes for name in lane]
    by_name: Mapping[str, StageCost] = {stage.stage: stage for stage in stages if stage.stage in every}
    lanes = order.lanes
    if speed.takes_turns:
        lanes = (order.on_device, *((name,) for name in every if name not in order.on_device))
    slowest = max(sum(by_name[name].seconds or 0.0 for name in lane) for lane in lanes)
    cores_s = sum(stage.core_s for stage in by_name.values()) / speed.cores
    return max(slowest, cores_s) / work.windows


def _graphs(name: str, model: PlannedModel, work: Work, speed: Speed) -> StageCost:
    calls = [(call, speed.graph(model, call)) for call in work.graphs[name]]
    longest = max(calls, key=lambda pair: pair[1].seconds)[1]
    return StageCost(
        stage=name,
        seconds=sum(timed.seconds for _, timed in calls),
        core_s=sum(timed.core_s for _, timed in calls),
        flops=sum(model.flops(call) for call, _ in calls),
        bytes=sum(model.bytes(call) for call, _ in calls),
        bound=longest.bound,
    )


def _host(name: str, work: Work, speed: Speed) -> StageCost:
    timed = speed.host(name, work.host[name])
    return StageCost(
        stage=name,
        seconds=None if timed is None else timed.seconds,
        core_s=0.0 if timed is None else timed.core_s,
        flops=0.0,
        bytes=0.0,
        bound="not known" if timed is None else timed.bound,
    )
