"""Every metric moves when it should, and no label grows with users."""

from __future__ import annotations

import re

from tests.hp_trt.apps.service.conftest import picture
from tests.hp_trt.apps.service.test_jobs import begun, held

NAMES = {
    "hp_trt_jobs_total", "hp_trt_lanes", "hp_trt_stage_seconds", "hp_trt_live_sessions", "hp_trt_live_latency_seconds",
    "hp_trt_frames_total", "hp_trt_dropped_total", "hp_trt_errors_total", "hp_trt_queue_seconds", "hp_trt_device_bytes",
}  # fmt: skip


def value(running, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", running.ask("GET", "/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_job_moves_what_it_should(serving, video):
    running = serving(hand=held())
    portrait, motion = running.portrait(), running.motion(video)
    assert value(running, 'hp_trt_lanes{kind="clip",state="idle"}') == 1
    jobs = [running.job(portrait, motion).json()["id"] for _ in range(2)]
    begun(running)
    assert value(running, 'hp_trt_lanes{kind="clip",state="busy"}') == 1
    running.ask("DELETE", f"/v1/jobs/{jobs[1]}")
    running.hand.go.set()
    running.ended(jobs[0])
    assert value(running, 'hp_trt_jobs_total{state="running"}') == 1
    assert value(running, 'hp_trt_jobs_total{state="done"}') == 1
    assert value(running, 'hp_trt_jobs_total{state="cancelled"}') == 1
    assert value(running, 'hp_trt_frames_total{mode="clip"}') == 5
    assert value(running, 'hp_trt_stage_seconds_count{stage="write"}') == 5
    assert value(running, "hp_trt_queue_seconds_count") == 1
    assert value(running, "hp_trt_device_bytes") > 10_000_000
    running.ask("POST", "/v1/portraits", content=picture(0))
    assert value(running, 'hp_trt_errors_total{slug="no-face"}') == 1


def test_all_names_are_there_and_no_label_says_whose_it_is(running, video):
    running.ended(running.job(running.portrait(), running.motion(video)).json()["id"])
    running.service.meters.dropped.labels("input").inc()
    answer = running.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    documented = set(re.findall(r"^# HELP (\S+)", answer.text, re.MULTILINE))
    assert documented >= NAMES, NAMES - documented
    labels = set(re.findall(r'[{,](\w+)="', answer.text))
    assert labels <= {"state", "kind", "stage", "mode", "where", "slug", "le"}
