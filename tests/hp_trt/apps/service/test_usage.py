"""What was used lately, by a clock that a test sets."""

from __future__ import annotations

import pytest

from hp_trt.apps.service.usage import Usage


def test_what_was_used_fades_by_half_every_ten_minutes():
    now = [0.0]
    usage = Usage(lambda: now[0])
    usage.begin("a")
    now[0] = 40
    assert usage.of("a") == 40 and usage.of("b") == 0, "what runs counts"
    usage.end("a")
    assert usage.of("a") == 40
    now[0] += 600
    assert usage.of("a") == pytest.approx(20)
    now[0] += 600 * 20
    assert usage.of("a") == 0, "and is forgotten"


def test_jobs_side_by_side_add_up():
    now = [0.0]
    usage = Usage(lambda: now[0])
    usage.begin("a")
    now[0] = 10
    usage.begin("a")
    now[0] = 20
    assert usage.of("a") == 30
    usage.end("a")
    now[0] = 25
    usage.end("a")
    assert usage.of("a") == pytest.approx(35, rel=0.01), "but for what faded in these seconds"
    usage.end("a")
    assert usage.of("a") == pytest.approx(35, rel=0.01), "one end too many is none"
