from __future__ import annotations

from hp_trt.measure.bench.timeline import draw_timeline
from tests.hp_trt.measure.bench.spans import spans


def test_a_timeline_of_no_width_is_drawn_too(tmp_path):
    out = tmp_path / "t.svg"
    draw_timeline(spans("stitch", 0.0), out, out.suffix, title="none", subtitle="", wall_s=1.0)
    assert "<svg" in out.read_text()
