"""Places, sizes and scores of tiles in noise."""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.provenance import alignment
from hp_trt.provenance.alignment import align
from hp_trt.provenance.tile import tile

PAYLOAD = 0xDEADBEEF


def patterned(px: int, *, loud: float, down: int = 0, across: int = 0, magnified: int = 1) -> np.ndarray:
    """(px, px) float32: a tile again and again, cut at a place, in noise of deviation 1."""
    many = np.roll(tile(PAYLOAD, magnified=magnified), (-down, -across), axis=(0, 1))
    times = -(-px // len(many))
    noise = np.random.default_rng(0).standard_normal((px, px))
    return (loud * np.tile(many, (times, times))[:px, :px] + noise).astype(np.float32)


@pytest.mark.parametrize(("down", "across"), [(0, 0), (1, 127), (64, 64), (37, 90)])
def test_a_tile_is_read_wherever_it_is_cut(down, across):
    found = align(patterned(200, loud=0.3, down=down, across=across))
    assert found.payload == PAYLOAD
    assert found.score > 20
    assert found.zoom == pytest.approx(1, abs=0.005)


def test_a_tile_is_read_at_twice_the_size_without_being_told():
    found = align(patterned(512, loud=0.3, magnified=2))
    assert found.payload == PAYLOAD
    assert found.zoom == pytest.approx(2, rel=0.005)


def test_a_score_is_what_chance_gives_at_most_once_in_so_many_pictures():
    # Of the height in deviations: exp(-t^2 / 2), for each of 2^32 words, 256^2 places and 259 x 5 sizes.
    found = align(patterned(256, loud=0.3))
    chance = -(found.deviations**2) / 2 / np.log(10) + np.log10(2.0**32 * 256**2 * 259 * 5)
    assert found.score == pytest.approx(-chance)
    assert found.deviations <= np.sqrt(2 * 384)  # all waves in step


@pytest.mark.parametrize("seed", range(5))
def test_noise_scores_below_0(seed):
    assert align(np.random.default_rng(seed).standard_normal((150, 130)).astype(np.float32)).score < 0


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 3)])
def test_a_picture_of_nothing_scores_below_0(size):
    assert align(np.zeros(size, np.float32)).score < 0
    assert align(np.ones(size, np.float32)).score < 9


@pytest.mark.parametrize("loud", [0, 0.3])
def test_how_many_sizes_are_looked_at_together_does_not_matter(loud, monkeypatch):
    picture = patterned(180, loud=loud)[:, :150]
    together = align(picture)
    for many in (1, 300):
        monkeypatch.setattr(alignment, "_AT_ONCE", many)
        assert align(picture) == together
