"""The literal networks, counted, against the published numbers (flops.json)."""

from __future__ import annotations

import pytest

from export.hallo2.presets import HALLO2
from export.hallo2.released import released_row_flops, released_step_flops
from tests.export.hallo2.tiny import TINY_MOODS, TINY_TALK


def test_a_row_of_the_reference_net_is_the_published_arithmetic():
    assert 6 * released_row_flops(HALLO2.architecture, size=256) == 1_058_645_606_400


def test_a_mood_is_one_token_more_for_every_cell_to_read():
    sizes = {"size": 32, "frames": 3, "motion_frames": 1}
    plain, told = (released_step_flops(preset.architecture, **sizes) for preset in (TINY_TALK, TINY_MOODS))
    assert plain < told < 1.02 * plain


def test_a_step_of_both_halves_is_the_published_arithmetic():
    """But for time embeddings, which are projected once a frame here: a ten-thousandth at 256."""
    counted = released_step_flops(HALLO2.architecture, size=256, frames=16, motion_frames=2)
    assert counted == pytest.approx(11_016_730_050_560, rel=2e-4)
