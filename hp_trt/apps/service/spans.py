"""OpenTelemetry's spans of a clip, made of the same events as its progress: one a stage, below one for the job.

Spans begin and end when the events say, so their times are those of the bench. The pieces of work of a stage are in
its attributes, not spans: a clip of ten thousand frames would make as many.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from engines.safe_output import refusing
from runtime.stages import Event

_NS = 1_000_000_000


class StageSpans:
    """The spans of one job. For `Stages(listener)`, which calls it from one thread at a time; `close` it at the end."""

    def __init__(self, tracer: Any, job: str, kind: str) -> None:
        self._tracer = tracer
        self._job = tracer.start_span("job", attributes={"hp_trt.job": job, "hp_trt.kind": kind})
        self._origin_ns = time.time_ns()
        self._open: dict[str, Any] = {}

    def on_event(self, event: Event) -> None:
        """A stage that begins anew ends the one before; one that never began is a span of its only piece."""
        when_ns = self._origin_ns + round((event.start_s + (event.seconds if event.kind == "unit" else 0)) * _NS)
        if event.kind == "begin":
            self._end(event.stage, when_ns)
            self._open[event.stage] = self._begin(event.stage, when_ns)
        elif event.kind == "end":
            span = self._open.get(event.stage)
            if span is not None:
                span.set_attributes({"hp_trt.done": event.done, "hp_trt.busy_s": event.seconds})
            self._end(event.stage, when_ns)
        elif event.stage not in self._open:
            self._open[event.stage] = self._begin(event.stage, self._origin_ns + round(event.start_s * _NS))

    def close(self, state: str) -> None:
        """End what is open: the job's own span, and stages that it left."""
        for stage in list(self._open):
            self._end(stage, None)
        self._job.set_attribute("hp_trt.state", state)
        self._job.end()

    def _begin(self, stage: str, when_ns: int) -> Any:
        from opentelemetry import trace

        return self._tracer.start_span(stage, context=trace.set_span_in_context(self._job), start_time=when_ns)

    def _end(self, stage: str, when_ns: int | None) -> None:
        span = self._open.pop(stage, None)
        if span is not None:
            span.end(when_ns)


def open_tracer(file: Path | None) -> tuple[Any, Any]:
    """A tracer, and the provider to shut down, which is None where it is not ours.

    `file`: where finished spans are appended, a line of JSON each. Without one, a tracer of the process's own provider,
    where somebody set one, as `opentelemetry-instrument` does; (None, None) where nobody did.
    Raises OutputError for a file that cannot be written.
    """
    if file is None:
        import sys

        trace_api = sys.modules.get("opentelemetry.trace")
        if trace_api is None:
            return None, None
        return trace_api.get_tracer("hp_trt"), None
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    with refusing(file):
        out = file.open("a", encoding="utf-8")
    exporter = ConsoleSpanExporter(out=out, formatter=lambda span: span.to_json(indent=None) + "\n")
    provider = TracerProvider(resource=Resource.create({"service.name": "hp-trt"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider.get_tracer("hp_trt"), provider
