"""Spans and ranges from the events of a clip, seen by OpenTelemetry's own collector in memory."""

from __future__ import annotations

import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from engines.errors import Cancelled
from hp_trt.apps.service.profiler_ranges import StageRanges
from hp_trt.apps.service.spans import StageSpans, open_tracer
from runtime.stages import Stages


@pytest.fixture
def collected():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("t"), exporter


def clip(stages: Stages, now: list[float]) -> None:
    stages.begin("denoise", 2)
    for _ in range(2):
        with stages.unit("denoise"):
            now[0] += 1.5
    stages.end("denoise")
    with stages.unit("finish"):
        now[0] += 0.25


def test_a_stage_is_a_span_below_its_jobs_as_long_as_the_stage(collected):
    tracer, exporter = collected
    now = [0.0]
    spans = StageSpans(tracer, "j_1", "clip")
    clip(Stages(spans.on_event, clock=lambda: now[0]), now)
    spans.close("done")
    found = {span.name: span for span in exporter.get_finished_spans()}
    assert set(found) == {"job", "denoise", "finish"}
    denoise = found["denoise"]
    assert (denoise.end_time - denoise.start_time) / 1e9 == pytest.approx(3.0)
    assert dict(denoise.attributes) == {"hp_trt.done": 2, "hp_trt.busy_s": 3.0}
    assert denoise.parent.span_id == found["job"].context.span_id
    assert dict(found["job"].attributes) == {"hp_trt.job": "j_1", "hp_trt.kind": "clip", "hp_trt.state": "done"}


def test_a_job_that_was_cancelled_leaves_no_span_open(collected):
    import threading

    tracer, exporter = collected
    cancel, spans = threading.Event(), StageSpans(tracer, "j", "clip")
    stages = Stages(spans.on_event, cancel=cancel)
    stages.begin("denoise", 9)
    cancel.set()
    with pytest.raises(Cancelled), stages.unit("denoise"):
        pass
    spans.close("cancelled")
    assert {span.name for span in exporter.get_finished_spans()} == {"job", "denoise"}


def test_a_stage_that_begins_again_ends_the_one_before(collected):
    tracer, exporter = collected
    spans = StageSpans(tracer, "j", "clip")
    stages = Stages(spans.on_event)
    for _ in range(3):
        stages.begin("read")
    stages.end("read")
    spans.close("done")
    assert [span.name for span in exporter.get_finished_spans()].count("read") == 3


def test_where_nobody_asked_for_spans_the_library_is_not_loaded(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    assert open_tracer(None) == (None, None)
    assert not [name for name in sys.modules if name.startswith("opentelemetry")]


class FakeNvtx:
    def __init__(self):
        self.open, self.marks = {}, []

    def start_range(self, *, message, domain):
        self.open[len(self.open)] = message
        return len(self.open) - 1

    def end_range(self, number):
        del self.open[number]

    def mark(self, *, message, domain):
        self.marks.append(message)


def test_ranges_are_opened_and_ended_with_stages(monkeypatch):
    fake = FakeNvtx()
    monkeypatch.setitem(sys.modules, "nvtx", fake)
    now, ranges = [0.0], StageRanges()
    stages = Stages(ranges.on_event, clock=lambda: now[0])
    stages.begin("decode")
    assert list(fake.open.values()) == ["decode"]
    clip(stages, now)
    assert list(fake.open.values()) == ["decode"] and fake.marks == ["denoise 1", "denoise 2", "finish 1"]
    ranges.close()
    assert not fake.open


def test_the_real_library_takes_them_without_a_profiler():
    now, ranges = [0.0], StageRanges()
    clip(Stages(ranges.on_event, clock=lambda: now[0]), now)
    ranges.close()
