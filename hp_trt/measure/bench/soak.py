"""A live session for minutes on end: does it keep its rate, its latency and its memory?

The source never ends: a drawn clip forwards and backwards, pushed at `rate` by the clock, or as fast as it is taken.
Faces are found by the runtime's locator, as of any camera. What comes out is counted and thrown away.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from engines.errors import InputError
from hp_trt.live.pushing import pushing
from hp_trt.live.queues import Policy
from hp_trt.live.session import LiveSession
from hp_trt.measure.bench import machine
from hp_trt.measure.bench.drawn import DrawnConfig, there_and_back

FORMAT, SCHEMA = "hp-trt soak", 1
_CLIP_FRAMES = 100  # drawn once
_EVERY_S = 5.0  # how often memory is looked at
_SETTLED = 0.1  # of the run: until then buffers and arenas grow to their size
_PATIENCE_S = 30.0
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class SoakConfig(DrawnConfig):
    """Checked when made; raises InputError."""

    seconds: float
    rate: float | None = None  # frames pushed a second; None: as many as are taken
    profile: str = "live"
    seed: int = 0  # who is drawn

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= 86_400:
            raise InputError(f"--soak takes 1 to 86400 seconds, got {self.seconds:g}")
        if self.rate is not None and not 0 < self.rate <= 1000:
            raise InputError(f"--rate is frames a second, above 0 and at most 1000, got {self.rate:g}")


def soak(config: SoakConfig, tell: Tell = lambda what, done, total: None) -> dict[str, Any]:
    """The report as JSON data. Raises what `hp_trt.Runtime` raises, and what the session fails with.

    format, schema    "hp-trt soak", 1
    machine, profile, seconds, rate
    frames            pushed, emitted, dropped_in, dropped_out, held
    frames_per_s      whole; slowest of the stretches of 10 s
    latency_s         p50, p99, most, of every frame
    memory            settled_bytes (after a tenth of the run), last_bytes, most_bytes, growth (a fraction)
    """
    from hp_trt.api import Runtime
    from procedural.clip import clip

    config = config.settled("--soak")
    drawn = clip(config.seed, frames=_CLIP_FRAMES, px=256)
    images = drawn.frames()
    with Runtime(config.bundle, config.runtime(config.profile)) as runtime:
        policy: Policy = "block" if config.rate is None else "drop-oldest"
        with runtime.live(images[0], profile=runtime.profile, policy=policy) as session:
            found = _run(session, images, config, tell)
            stats = session.stats
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "machine": config.machine(),
        "profile": config.profile,
        "seconds": config.seconds,
        "rate": config.rate,
        "frames": {name: getattr(stats, name) for name in ("pushed", "emitted", "dropped_in", "dropped_out", "held")},
        **found,
        "notes": list(stats.notes),
    }


def _run(session: LiveSession, images: Sequence[np.ndarray], config: SoakConfig, tell: Tell) -> dict[str, Any]:
    start_s = time.monotonic()
    stop = threading.Event()

    def source() -> Iterator[tuple[np.ndarray, Fraction]]:
        for number, image in enumerate(itertools.cycle(there_and_back(images))):
            if config.rate is not None and stop.wait(max(start_s + number / config.rate - time.monotonic(), 0)):
                return
            if stop.is_set():
                return
            yield image, Fraction(number, 25) if config.rate is None else Fraction(number / config.rate)

    latencies, at_s, memory = [], [], []
    looked_s = start_s
    with pushing(session, source(), thread="hp-trt soak"):
        try:
            while (frame := session.pull(_PATIENCE_S)) is not None:
                now_s = time.monotonic()
                latencies.append(frame.latency_s)
                at_s.append(now_s - start_s)
                if now_s - looked_s >= _EVERY_S:
                    looked_s = now_s
                    memory.append((now_s - start_s, machine.resident_bytes()))
                    tell("soak", min(round(now_s - start_s), round(config.seconds)), round(config.seconds))
                if now_s - start_s >= config.seconds:
                    stop.set()
        finally:
            stop.set()  # a source that waits for its next frame's time ends now
    return summary(latencies, at_s, memory, config.seconds)


def summary(
    latencies: Sequence[float], at_s: Sequence[float], memory: Sequence[tuple[float, int]], seconds: float
) -> dict[str, Any]:
    """What is told of a run: each frame's latency and time, and (time, bytes) of its memory."""
    inside = [at for at in at_s if at <= seconds]
    stretches = (
        np.histogram(inside, bins=np.arange(0, seconds + 1e-9, 10.0))[0] / 10.0 if seconds >= 10 else np.array([])
    )
    # The first stretch has the start in it: until the first window is full nothing comes.
    steady = stretches[1:] if len(stretches) > 1 else stretches
    settled = [size for at, size in memory if at >= _SETTLED * seconds]
    return {
        "frames_per_s": {
            "whole": len(inside) / seconds,
            "slowest": float(steady.min()) if len(steady) else None,
        },
        "latency_s": {
            "p50": float(np.percentile(latencies, 50)),
            "p99": float(np.percentile(latencies, 99)),
            "most": max(latencies),
        },
        "memory": {
            "settled_bytes": settled[0] if settled else None,
            "last_bytes": settled[-1] if settled else None,
            "most_bytes": max(settled) if settled else None,
            "growth": settled[-1] / settled[0] - 1 if settled else None,
        },
    }


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The report for people, a fact a line."""
    frames, rate, latency, memory = (report[key] for key in ("frames", "frames_per_s", "latency_s", "memory"))
    pushed = "as fast as they are taken" if report["rate"] is None else f"{report['rate']:g} a second"
    yield f"{report['profile']}, {report['seconds']:g} s, frames pushed {pushed}"
    slowest = "" if rate["slowest"] is None else f", {rate['slowest']:.2f} in the slowest 10 s"
    yield f"frames/s     {rate['whole']:.2f}{slowest}"
    ratio = latency["p99"] / latency["p50"]
    yield (
        f"latency      p50 {latency['p50']:.2f} s, p99 {latency['p99']:.2f} s ({ratio:.2f} times), "
        f"most {latency['most']:.2f} s"
    )
    yield (
        f"frames       {frames['pushed']} pushed, {frames['emitted']} animated, {frames['dropped_in']} dropped before, "
        f"{frames['dropped_out']} after"
    )
    if memory["settled_bytes"] is not None:
        yield (
            f"memory       {memory['settled_bytes'] / 2**20:.0f} MiB settled, {memory['last_bytes'] / 2**20:.0f} at "
            f"the end ({memory['growth']:+.1%})"
        )
    machine_ = report["machine"]
    yield f"machine      {machine_['cpu']}, {machine_['cores']} cores, ONNX Runtime {machine_['onnxruntime']}"
    for note in report["notes"]:
        yield f"note         {note}"
