"""Chunks counted from the padded clip's first frame, and frames handed on as they come."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import BundleError, InputError, NonFiniteError
from runtime.decode import Chunk, chunks, decode, decoder_buffers, each, to_uint8
from runtime.streams import Fetched, views
from tests.fakes import FakeBackend, decoded, decoder_spec


def decode_all(backend, session, latents, **numbers):
    """Of latents that are all there."""

    def part(frames):
        return backend.view(latents, frames.start, frames.stop)

    return decode(backend, session, part, frames=latents.shape[0], **numbers)


def decoder(backend, *, most=8):
    """A decoder that mixes the frames of a chunk, as the real one does: each sees its neighbours, zeros beyond."""

    def formula(latents):
        padded = np.pad(latents, ((1, 1), (0, 0), (0, 0), (0, 0)))
        mixed = 0.1 * (padded[:-2] + 2 * padded[1:-1] + 3 * padded[2:])
        return decoded(mixed[:, :3].repeat(8, axis=2).repeat(8, axis=3))

    return backend.session(decoder_spec("vae_decoder", (4, 2, 2), 16, 16, most=most), formula)


@pytest.mark.parametrize(
    ("n", "pad", "chunk"), [(1, 15, 8), (7, 3, 4), (100, 15, 8), (5, 0, 8), (9, 2, 1), (9, 15, 40)]
)
def test_the_frames_are_those_of_decoding_every_chunk(n, pad, chunk):
    backend = FakeBackend()
    latents = np.random.default_rng(0).standard_normal((n + 2 * pad, 4, 2, 2), dtype=np.float32)
    session = decoder(backend, most=40)
    every = [session.formula(latents[i : i + chunk])["pixels"] for i in range(0, len(latents), chunk)]
    frames = list(decode_all(backend, session, backend.upload(latents), pad_frames=pad, chunk=chunk))
    assert [i for i, _ in frames] == list(range(n))
    np.testing.assert_array_equal(np.stack([f for _, f in frames]), np.concatenate(every)[pad : pad + n])


def test_chunks_that_hold_only_padding_are_not_decoded():
    assert chunks(130, chunk=8, pad_frames=15)[0] == Chunk(start=8, stop=16, keep_start=15, keep_stop=16)
    assert chunks(130, chunk=8, pad_frames=15)[-1] == Chunk(start=112, stop=120, keep_start=112, keep_stop=115)
    backend = FakeBackend()
    session = decoder(backend)
    list(decode_all(backend, session, backend.upload(np.zeros((31, 4, 2, 2), np.float32)), pad_frames=15, chunk=8))
    assert session.runs == [{"latents": (8, 4, 2, 2)}]  # one frame of thirty-one is wanted


def test_a_frame_leaves_before_the_next_chunk_is_decoded_and_stays_what_it_was():
    backend = FakeBackend()
    session = decoder(backend)
    latents = backend.upload(np.random.default_rng(0).standard_normal((20, 4, 2, 2), dtype=np.float32))
    stream = decode_all(backend, session, latents, pad_frames=0, chunk=8)
    _, first = next(stream)
    assert len(session.runs) == 1
    before = first.copy()
    list(stream)
    np.testing.assert_array_equal(first, before)


def test_a_causal_decoder_gets_the_frames_before_its_chunk_and_their_pictures_are_thrown_away():
    assert chunks(30, chunk=8, pad_frames=5, context=2) == [
        Chunk(start=3, stop=11, keep_start=5, keep_stop=11),
        Chunk(start=9, stop=17, keep_start=11, keep_stop=17),
        Chunk(start=15, stop=23, keep_start=17, keep_stop=23),
        Chunk(start=21, stop=25, keep_start=23, keep_stop=25),
    ]
    assert chunks(5, chunk=8, pad_frames=0, context=2) == [Chunk(start=0, stop=5, keep_start=0, keep_stop=5)]
    with pytest.raises(InputError, match="looks back over 2 frames, decode_chunk is 2; raise it"):
        chunks(5, chunk=2, pad_frames=0, context=2)


def test_nothing_is_fetched_but_pixels_and_a_number_a_frame():
    backend = FakeBackend()
    fetched, fetch = [], backend.fetch
    backend.fetch = lambda buffer: (fetched.append((buffer.shape, str(buffer.dtype))), fetch(buffer))[1]
    latents = backend.upload(np.zeros((12, 4, 2, 2), np.float32))
    list(decode_all(backend, decoder(backend), latents, pad_frames=2, chunk=8))
    assert fetched == [((6, 16, 16, 3), "uint8"), ((6,), "float32"), ((2, 16, 16, 3), "uint8"), ((2,), "float32")]


def test_a_nan_among_frames_that_nobody_wants_is_nobodys():
    backend = FakeBackend()
    latents = np.zeros((20, 4, 2, 2), np.float32)
    latents[0] = np.nan  # of the padding, two frames from the first that is wanted
    assert len(list(decode_all(backend, decoder(backend), backend.upload(latents), pad_frames=2, chunk=8))) == 16


def test_a_nan_names_its_frames():
    backend = FakeBackend()
    latents = np.zeros((20, 4, 2, 2), np.float32)
    latents[12] = np.nan
    with pytest.raises(NonFiniteError, match="vae_decoder: frames 6 to 13: 3 of 8 frames hold values that are NaN"):
        list(decode_all(backend, decoder(backend), backend.upload(latents), pad_frames=2, chunk=8))


def test_a_chunk_longer_than_the_bundle_decodes_is_refused():
    backend = FakeBackend()
    with pytest.raises(BundleError, match="decodes at most 8 frames at a time, asked for 9; lower decode_chunk"):
        list(decode_all(backend, decoder(backend), backend.upload(np.zeros((9, 4, 2, 2))), pad_frames=0, chunk=9))


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
