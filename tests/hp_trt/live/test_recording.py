from __future__ import annotations

import itertools
from fractions import Fraction

import av

from hp_trt.live.recording import Recording
from tests.hp_trt.clips import picture


def test_every_picture_leaves_when_it_comes_and_a_keyframe_every_two_seconds(tmp_path):
    with av.open(str(tmp_path / "o.ts"), "w", format="mpegts") as container:
        recording = Recording(container, "mpegts", width=64, height=48, rate=Fraction(25))
        sizes = []
        for number in range(120):
            recording.write(picture(7), Fraction(number, 25))
            sizes.append((tmp_path / "o.ts").stat().st_size)
        recording.finish()
    assert all(a < b for a, b in itertools.pairwise(sizes))
    with av.open(str(tmp_path / "o.ts")) as file:
        packets = [p for p in file.demux(video=0) if p.pts is not None]
    assert [n for n, p in enumerate(packets) if p.is_keyframe] == [0, 50, 100]
    assert all(p.pts == p.dts for p in packets)  # nothing waits for a frame from the future
