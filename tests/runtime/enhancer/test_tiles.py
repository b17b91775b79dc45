from __future__ import annotations

import numpy as np
import pytest

from engines.errors import NonFiniteError
from runtime.enhancer.tiles import AROUND, TILE, enlarge, tiles
from tests.fakes import FakeBackend, spec

PROMISE = spec(
    "an upscaler", {"picture": (1, 3, "h", "w")}, {"enlarged": (1, 3, "h2", "w2")}, most=100_000
)  # fmt: skip


def repeating(backend):
    """An upscaler that looks at one pixel: tiles then change nothing."""
    return backend.session(PROMISE, lambda picture: {"enlarged": picture.repeat(2, axis=2).repeat(2, axis=3)})


@pytest.mark.parametrize("size", [(400, 400), (401, 399), (37, 50), (16, 16), (5, 3), (1, 1), (450, 900)])
def test_tiles_of_a_picture_of_any_size_make_the_whole(size):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    backend = FakeBackend()
    made = enlarge(backend, repeating(backend), picture)
    assert np.array_equal(made, picture.repeat(2, axis=0).repeat(2, axis=1))


def test_a_tile_has_its_own_part_and_what_is_around_cut_at_the_border():
    backend = FakeBackend()
    session = repeating(backend)
    enlarge(backend, session, np.zeros((900, 500, 3), np.uint8))
    sides = [run["picture"][2:] for run in session.runs]
    long, short = TILE + 2 * AROUND, TILE + AROUND
    assert sides == [(short, short), (short, 140), (long, short), (long, 140), (140, short), (140, 140)]


def test_no_tile_is_larger_however_large_the_picture():
    assert max(part.rows.stop - part.rows.start for part in tiles(5000, 9000)) == TILE + 2 * AROUND


def test_what_is_no_number_is_told():
    backend = FakeBackend()
    session = backend.session(PROMISE, lambda picture: {"enlarged": np.full((1, 3, 32, 32), np.nan, np.float32)})
    with pytest.raises(NonFiniteError, match="upscaler"):
        enlarge(backend, session, np.zeros((16, 16, 3), np.uint8))
