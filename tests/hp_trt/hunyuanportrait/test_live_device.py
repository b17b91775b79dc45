"""Live on a device where everything happens later, at the sizes of 512 pixels: nothing is allocated once it runs, and
a window's decoding waits for that window alone."""

from __future__ import annotations

import numpy as np
import pytest

from engines import cuda_memory
from tests.hp_trt.hunyuanportrait.live_device import groups, live_device, picture, plain_frames

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
CALLS = ("malloc", "free", "host_alloc", "host_free")


def busy(device, stream, levels, *, before_decoding=lambda number: None, after_decoding=lambda number: None):
    """A session that is busy, as one thread does it: a window is decoded when the next one is queued already."""
    made, latents = [], None
    for number, group in enumerate([*groups(levels), None]):
        following = None
        if group is not None:
            following = stream.denoise(stream.encode([stream.see(picture(level), 0) for level in group]))
        if latents is not None:
            before_decoding(number - 1)
            begun = stream.begin(latents)
            after_decoding(number - 1)
            made += [frame.copy() for frame in stream.frames(begun)]
        latents = following
    return made


@pytest.mark.parametrize("side_px", [64, 512])
def test_from_the_third_window_on_nothing_is_allocated_and_nothing_freed(tmp_path, monkeypatch, side_px):
    if side_px < 512:  # small pieces would be shared by tensors of all sizes, which those of a real size do not do
        monkeypatch.setattr(cuda_memory, "_SMALL", 512)
    levels = [20 + i for i in range(6 + 7 * 9)]
    with live_device(tmp_path, side_px) as device:
        calls = []

        def note(number):
            calls.append([device.driver.calls[kind] for kind in CALLS])

        made = busy(device, device.stream(), levels, after_decoding=note)
        assert calls[2:] == [calls[2]] * (len(calls) - 2)
        for ours, plain in zip(made, plain_frames(levels, side_px), strict=True):
            np.testing.assert_array_equal(ours, plain)
