"""What is counted, under which name: one registry a service, in Prometheus' text. No label grows with users."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

from hp_trt.apps.service.job import Kind
from runtime.stages import Event

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STAGE_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_QUEUE_S = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)
_LATENCY_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10)
Lanes = Callable[[], Iterable[tuple[str, str, int]]]  # kind, state, how many


class Meters:
    """The counters of one service. For any thread.

    Of live sessions, for whoever opens them: `live_sessions`, `live_latency`, `dropped` by where, `frames` by mode.
    """

    def __init__(self, lanes: Lanes) -> None:
        self.registry = CollectorRegistry()
        own: Any = {"registry": self.registry}
        self.jobs = Counter("hp_trt_jobs", "Jobs that came to a state.", ["state"], **own)
        self.stage = Histogram(
            "hp_trt_stage_seconds", "Seconds of a stage's piece of work.", ["stage"], buckets=_STAGE_S, **own
        )
        self.queue = Histogram("hp_trt_queue_seconds", "Seconds that a job waited.", buckets=_QUEUE_S, **own)
        self.frames = Counter("hp_trt_frames", "Frames that were made.", ["mode"], **own)
        self.errors = Counter("hp_trt_errors", "Problems that were told, by their slug.", ["slug"], **own)
        self.dropped = Counter("hp_trt_dropped", "Live frames that were dropped, by where.", ["where"], **own)
        self.live_ended = Counter("hp_trt_live_ended", "Live sessions that ended, by why.", ["reason"], **own)
        self.live_sessions = Gauge("hp_trt_live_sessions", "Live sessions that are open.", **own)
        self.live_latency = Histogram(
            "hp_trt_live_latency_seconds", "From a driving frame to its result.", buckets=_LATENCY_S, **own
        )
        self.registry.register(_Now(lanes))

    def of(self, kind: Kind) -> Callable[[Event], None]:
        """For `Stages` of a job: counts the seconds of each piece of work, and the frames of its result."""
        frames = self.frames.labels("enhance" if kind == "enhance" else "clip")

        def on_event(event: Event) -> None:
            if event.kind == "unit":
                self.stage.labels(event.stage).observe(event.seconds)
                if event.stage == "write":
                    frames.inc()

        return on_event

    def job(self, state: str, waited_s: float | None) -> None:
        self.jobs.labels(state).inc()
        if waited_s is not None:
            self.queue.observe(waited_s)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)


class _Now:
    """What is looked at when somebody asks."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    def collect(self) -> Iterable[GaugeMetricFamily]:
        lanes = GaugeMetricFamily("hp_trt_lanes", "Lanes by kind and state.", labels=["kind", "state"])
        for kind, state, count in self._lanes():
            lanes.add_metric([kind, state], count)
        yield lanes
        yield GaugeMetricFamily(
            "hp_trt_device_bytes", "Memory that this process holds where the graphs run on a CPU.", resident_bytes()
        )


def resident_bytes() -> int:
    """Of this process, in the host's memory; where the system does not say, the most that it was."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
