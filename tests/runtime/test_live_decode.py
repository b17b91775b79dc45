"""A stream decoded window by window, against the same decoder on all of it at once."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import BundleError, NonFiniteError
from runtime.live_decode import LiveDecoder
from tests.fakes import FakeBackend, decoded, decoder_spec


def causal(latents):
    """Each frame, with a little of the two frames before it; zeros before the first."""
    padded = np.concatenate([np.zeros((2, *latents.shape[1:])), latents])
    mixed = latents + 0.5 * padded[1:-1] - 0.25 * padded[:-2]
    return decoded(np.repeat(np.repeat(mixed[:, :3], 2, axis=2), 2, axis=3))


def decoder(backend: FakeBackend, context: int = 2, most: int = 8):
    return backend.session(decoder_spec("tiny", (4, 2, 2), 4, 4, most=most, context=context), causal)


@pytest.mark.parametrize("windows", [(6, 7, 7), (1, 1, 1, 5), (20,), (3, 2, 9)])
def test_windows_make_the_frames_of_the_whole_clip_at_once(windows):
    backend = FakeBackend()
    latents = np.random.default_rng(0).uniform(-0.5, 0.5, (sum(windows), 4, 2, 2)).astype(np.float32)
    live, at, made = LiveDecoder(backend, decoder(backend)), 0, []
    for count in windows:
        begun = live.begin(backend.upload(latents[at : at + count]))
        made += live.frames(begun)
        at += count
    np.testing.assert_array_equal(np.stack(made), causal(latents)["pixels"])


def test_pieces_are_even_and_as_few_as_the_graph_takes():
    backend = FakeBackend()
    session = decoder(backend)
    live = LiveDecoder(backend, session)
    latents = backend.upload(np.zeros((7, 4, 2, 2), np.float32))
    for _ in range(2):
        live.begin(latents)
    # Two frames of eight are context: six new ones at most. The first window has nothing before it.
    assert [run["latents"][0] for run in session.runs] == [3, 2 + 4, 2 + 3, 2 + 4]


def test_what_was_begun_may_be_waited_for_after_its_latents_are_gone():
    backend = FakeBackend()
    live = LiveDecoder(backend, decoder(backend))
    latents = backend.upload(np.zeros((3, 4, 2, 2), np.float32))
    begun = live.begin(latents)
    backend.array(latents)[:] = 9
    assert next(iter(live.frames(begun))).max() == 127


def test_a_decoder_that_looks_both_ways_gets_no_context():
    backend = FakeBackend()
    session = decoder(backend, context=0)
    live = LiveDecoder(backend, session)
    for _ in range(2):
        live.begin(backend.upload(np.zeros((7, 4, 2, 2), np.float32)))
    assert [run["latents"][0] for run in session.runs] == [7, 7]


def test_a_nan_names_its_frames():
    backend = FakeBackend()
    live = LiveDecoder(backend, decoder(backend))
    list(live.frames(live.begin(backend.upload(np.zeros((4, 4, 2, 2), np.float32)))))
    with pytest.raises(NonFiniteError, match="tiny: live frames 4 to 6"):
        list(live.frames(live.begin(backend.upload(np.full((3, 4, 2, 2), np.nan, np.float32)))))


def test_frames_before_a_nan_are_handed_on():
    backend = FakeBackend()
    live = LiveDecoder(backend, decoder(backend, context=0))
    latents = np.zeros((4, 4, 2, 2), np.float32)
    latents[3] = np.nan
    frames = live.frames(live.begin(backend.upload(latents)))
    assert [int(next(frames).max()) for _ in range(3)] == [127] * 3
    with pytest.raises(NonFiniteError, match="tiny: live frames 0 to 3: 1 of 4 frames hold values that are NaN"):
        next(frames)


def test_nothing_is_fetched_but_pixels_and_a_number_a_frame():
    backend = FakeBackend()
    fetched, fetch = [], backend.fetch
    backend.fetch = lambda buffer: (fetched.append((buffer.shape, str(buffer.dtype))), fetch(buffer))[1]
    live = LiveDecoder(backend, decoder(backend))
    for count in (3, 2):  # the second time behind two frames of context
        live.begin(backend.upload(np.zeros((count, 4, 2, 2), np.float32)))
    assert fetched == [((3, 4, 4, 3), "uint8"), ((3,), "float32"), ((2, 4, 4, 3), "uint8"), ((2,), "float32")]


def test_a_graph_that_its_context_fills_is_refused():
    backend = FakeBackend()
    with pytest.raises(BundleError, match="decodes at most 2 frames at a time and looks back over 2"):
        LiveDecoder(backend, decoder(backend, most=2))
