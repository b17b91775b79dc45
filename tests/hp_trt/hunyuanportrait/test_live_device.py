"""Live on a device where everything happens later, at the sizes of 512 pixels: nothing is allocated once it runs, and
a window's decoding waits for that window alone."""

from __future__ import annotations

import numpy as np
import pytest

from engines import cuda_memory
from tests.hp_trt.hunyuanportrait.live_device import groups, live_device, picture, plain_frames

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
CALLS = ("malloc", "free", "host_alloc", "host_free")


def busy(device, levels, *, denoised=lambda: None, decoding=lambda: None):
    """A session that is busy, as one thread does it: a window is decoded when the next one is queued already."""
    stream, made, latents = device.stream(), [], None
    for group in [*groups(levels), None]:
        following = None
        if group is not None:
            following = stream.denoise(stream.encode([stream.see(picture(level), 0) for level in group]))
            denoised()
            stream.check_tokens()
            stream.check_latents()
        if latents is not None:
            begun = stream.begin(latents)
            decoding()
            made += [frame.copy() for frame in stream.frames(begun)]
        latents = following
    return made


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("side_px", [64, 512])
def test_from_the_third_window_on_nothing_is_allocated_and_nothing_freed(tmp_path, monkeypatch, side_px, overlap):
    if side_px < 512:  # small pieces would be shared by tensors of all sizes, which those of a real size do not do
        monkeypatch.setattr(cuda_memory, "_SMALL", 512)
    levels = [20 + i for i in range(6 + 7 * 9)]
    with live_device(tmp_path, side_px, overlap_decode=overlap) as device:
        calls = []

        made = busy(device, levels, decoding=lambda: calls.append([device.driver.calls[kind] for kind in CALLS]))
        assert calls[2:] == [calls[2]] * (len(calls) - 2)
        for ours, plain in zip(made, plain_frames(levels, side_px), strict=True):
            np.testing.assert_array_equal(ours, plain)


@pytest.mark.parametrize("steps", [1, 4])
def test_a_stream_that_was_warmed_up_makes_nothing_ready_in_its_first_window_and_has_the_same_bits(tmp_path, steps):
    levels = [20 + i for i in range(6 + 7 * 5)]
    with live_device(tmp_path, 64) as device:
        made = device.made
        assert made.contexts == 5  # one a graph, from opening it
        stream = device.stream(steps=steps)
        stream.warm_up()
        before = made.contexts, device.driver.calls["capture_begin"]
        frames, calls = [], []
        for group in groups(levels):
            latents = stream.denoise(stream.encode([stream.see(picture(level), 0) for level in group]))
            calls.append([device.driver.calls[kind] for kind in CALLS])
            frames += stream.frames(stream.begin(latents))
        # The decoder's shape of a first window comes once a stream: its second run is this one's.
        assert (made.contexts, device.driver.calls["capture_begin"]) == (before[0], before[1] + 1)
        assert calls[2:] == [calls[2]] * 4  # two windows have their pixels and sums then
        for ours, plain in zip(frames, plain_frames(levels, 64, steps=steps), strict=True):
            np.testing.assert_array_equal(ours, plain)
        del stream


@pytest.mark.parametrize(("overlap", "side_px"), [(False, 64), (True, 64), (True, 512)])
def test_decoding_a_window_waits_for_that_window_alone_where_it_has_memory_of_its_own(tmp_path, overlap, side_px):
    levels = [20 + i for i in range(6 + 7 * 9)]
    with live_device(tmp_path, side_px) as device:
        if overlap:
            device.backend.overlap_decode()
        denoise, decode = (device.backend.streams[name].handle for name in ("denoise", "decode"))
        done, seen = [], []
        busy(
            device,
            levels,
            denoised=lambda: done.append(device.driver.done_by(denoise)),
            decoding=lambda: seen.append(device.driver.sees(decode, denoise)),
        )
        late = [number for number, count in enumerate(seen) if count > done[number]]
        # From the third on, as with memory: until then streams find none of their own. The last has none after it.
        assert [n for n in late if n >= 2] == ([] if overlap else list(range(2, len(seen) - 1)))
