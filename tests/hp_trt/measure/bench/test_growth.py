"""Clips of several lengths: what is counted from where, and which lengths are none."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.measure.bench.growth import Again, GrowthConfig, growth, lines


def test_images_come_forwards_and_backwards_until_there_are_enough():
    images = [np.full((1, 1, 3), i, np.uint8) for i in range(4)]
    again = Again(images, 9)
    assert [int(image.flat[0]) for image in again] == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert len(again) == 9 and int(again[-1].flat[0]) == 2
    with pytest.raises(IndexError):
        again[9]


@pytest.mark.parametrize("lengths", [(), (0,), (5, 10_001), (-3,)])
def test_a_length_that_no_clip_has_is_refused(lengths, tmp_path):
    with pytest.raises(InputError, match="--growth takes numbers of frames of 1 to 10000"):
        GrowthConfig(bundle=tmp_path, lengths=lengths)


def test_every_length_is_reported_apart_from_its_reading(small_bundle):
    report = growth(GrowthConfig(bundle=small_bundle, lengths=(2, 5), steps=1, threads=1))
    assert [clip["frames"] for clip in report["clips"]] == [2, 5]
    for clip in report["clips"]:
        assert min(clip["read_s"], clip["first_frame_s"], clip["frame_s"]) > 0
        assert clip["peak_bytes"] > clip["tokens_bytes"] > 0
    assert report["clips"][1]["tokens_bytes"] == 2.5 * report["clips"][0]["tokens_bytes"]
    assert [line.split(":")[0].strip() for line in lines(report)] == ["2 frames", "5 frames"]
