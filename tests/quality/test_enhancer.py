"""How much nearer the shipped upscaler is to a picture as it was drawn than a bicubic filter, on people never seen."""

from __future__ import annotations

import pytest

from tests.quality.compare_upscaler import Enlarge, compared, gain_db, shipped_upscaler

PEOPLE = {128: range(24), 256: range(8)}  # by side of their pictures: seeds below those of training
LEAST_DB = 1.0  # docs/quality.md has what 24 people show


@pytest.fixture(scope="module")
def enlarge() -> Enlarge:
    return shipped_upscaler()


@pytest.mark.parametrize("way", ["bicubic", "area", "jpeg 90"])
@pytest.mark.parametrize("side", PEOPLE)
def test_the_shipped_upscaler_is_nearer_to_unseen_people_than_bicubic_filters(enlarge, side, way):
    assert gain_db(compared(enlarge, PEOPLE[side], side, way)) >= LEAST_DB
