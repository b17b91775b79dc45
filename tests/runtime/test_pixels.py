"""Pixels: the released formula's bits, and sums that tell which frames are none."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import NonFiniteError
from runtime.pixels import Fetched, decoder_buffers, each, require_finite_frames, to_uint8, views
from tests.fakes import FakeBackend, decoder_spec


def test_pixels_are_truncated_and_clamped():
    frame = np.array([-2, -1, 0, 0.999, 1, 7], np.float32).reshape(1, 1, 6).repeat(3, axis=0)
    pixels = to_uint8(frame)
    assert pixels.shape == (1, 6, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels[0, :, 1].tolist() == [0, 0, 127, 254, 255, 255]


def test_pixels_have_the_bits_of_the_released_formula_at_every_level_and_beside_it():
    levels = (np.arange(256, dtype=np.float32) / 255 - np.float32(0.5)) * 2
    near = [levels, np.nextafter(levels, np.float32(2)), np.nextafter(levels, np.float32(-2))]
    rest = np.random.default_rng(0).uniform(-1.2, 1.2, 768).astype(np.float32)
    frame = np.stack([*near, rest[:256], rest[256:512], rest[512:]]).reshape(3, 16, 32)
    before = frame.copy()
    released = (np.clip(frame / 2 + 0.5, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    np.testing.assert_array_equal(to_uint8(frame), released)
    np.testing.assert_array_equal(frame, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sum_that_is_not_finite_refuses_its_frame(bad):
    require_finite_frames(np.array([0, 3e38], np.float32), "frames 0 to 1")
    with pytest.raises(NonFiniteError, match="tiny: frames 3 to 5: 1 of 3 frames hold values that are NaN or infinite"):
        require_finite_frames(np.array([0, bad, 1], np.float32), "tiny: frames 3 to 5")


def test_a_decoders_buffers_are_as_its_graph_promises_and_come_to_the_host_frame_by_frame():
    backend = FakeBackend()
    buffers = decoder_buffers(backend, decoder_spec("tiny", (4, 2, 2), 16, 24), 5)
    assert {name: (buffer.shape, str(buffer.dtype)) for name, buffer in buffers.items()} == {
        "pixels": ((5, 16, 24, 3), "uint8"),
        "sums": ((5,), "float32"),
    }
    backend.array(buffers["sums"])[:] = np.arange(5)
    made = Fetched(backend, views(backend, buffers, 1, 3)).wait()
    assert made["sums"].tolist() == [1, 2] and made["pixels"].shape == (2, 16, 24, 3)


def test_a_frame_that_is_kept_keeps_no_other():
    fetched = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    frames = list(each(fetched))
    np.testing.assert_array_equal(frames, fetched)
    assert all(frame.base is None for frame in frames)
