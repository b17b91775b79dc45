"""What was seen as words."""

from __future__ import annotations

import numpy as np
import pytest

from export.attention_maps.maps import LevelFrames, LevelMap, LevelTokens, Looked, lines


def test_a_map_is_told_in_a_line_with_where_it_is_most():
    values = np.zeros((4, 8))
    values[1, 6] = 0.5
    looked = Looked(pictures={}, found=(LevelMap(level=2, what="read", values=values, even=0.1, on="a frame"),))
    assert lines(looked) == ["level 2 (8 x 4), read: mean 0.016, even 0.100, most 0.500 at 81% across, 38% down"]
    assert looked.at(1, "read") is None


def test_tokens_are_told_by_groups_and_by_how_few_are_read():
    values = np.full((2, 2, 16), 0.01)
    values[..., 4:6] = 0.43  # tokens 4 and 5 are a group of their own
    values[1, 1] = 0.01
    values[1, 1, 15] = 0.85
    found = LevelTokens(level=0, what="motion tokens", values=values, on="a frame")
    assert [list(group) for group in found.groups[:2]] == [[0, 1], [2, 3]] and len(found.groups) == 8
    assert found.most_read.tolist() == [[2, 2], [2, 7]]
    assert found.each.sum() == pytest.approx(1)
    assert found.line() == (
        "level 0 (2 x 2), motion tokens: tokens 4 to 5 read most at 75% of the places, 0.650 of all that is read, "
        "even 0.125; half of all is read from 2 of 16 tokens, most from token 4, 0.325, even 0.062"
    )


def test_the_last_group_may_be_smaller_and_is_not_read_less_for_it():
    values = np.full((1, 1, 10), 0.1)
    found = LevelTokens(level=0, what="tokens", values=values, on="")
    assert [len(group) for group in found.groups] == [2] * 5
    values = np.array([[[0.1] * 8 + [0.2]]])
    found = LevelTokens(level=0, what="tokens", values=values, on="")
    assert [len(group) for group in found.groups] == [2, 2, 2, 2, 1] and found.most_read.tolist() == [[4]]
    assert "token 8 read most at 100% of the places" in found.line()


def test_a_few_tokens_are_groups_of_one_and_all_of_them_may_be_needed_for_half():
    found = LevelTokens(level=1, what="tokens", values=np.full((1, 1, 1), 1.0), on="")
    assert "half of all is read from 1 of 1 tokens" in found.line()


def test_frames_are_told_by_how_far_off_they_are():
    table = np.array([[0.5, 0.3, 0.2], [0.25, 0.5, 0.25], [0.1, 0.3, 0.6]])
    told = LevelFrames(level=3, what="frames", values=table).line()
    assert told == (
        "level 3, frames: a frame reads itself 0.533, each beside it 0.275, each farther off 0.150, even 0.333"
    )
    two = LevelFrames(level=3, what="frames", values=np.full((2, 2), 0.5)).line()
    assert two == "level 3, frames: a frame reads itself 0.500, each beside it 0.500, even 0.500"
