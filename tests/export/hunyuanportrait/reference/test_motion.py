"""Intensity ids and the ramps at both ends of the reference's motion."""

from __future__ import annotations

import pytest
import torch

from export.hunyuanportrait.reference.motion import motion_ids, pad_motion

FACE = torch.tensor([[30.0, 40.0], [60.0, 40.0], [45.0, 60.0], [35.0, 80.0], [55.0, 80.0]])  # diagonal 50


def test_a_single_frame_has_no_motion():
    assert motion_ids(FACE[None]) == (0, 0)


def test_a_moving_head_without_expression_sets_the_head_id_alone():
    # The nose strays 5 px from its mean, a tenth of the diagonal: 0.1 * 256.
    assert motion_ids(torch.stack([FACE, FACE + torch.tensor([10.0, 0.0])])) == (25, 0)


def test_ids_stop_at_127():
    jumping = FACE.clone()
    jumping[0] += 200
    assert motion_ids(torch.stack([FACE, jumping, FACE + 500])) == (127, 127)


def test_padding_ramps_from_zero_and_never_reaches_it_again():
    tokens = torch.stack([torch.full((2, 3), 4.0), torch.full((2, 3), 9.0), torch.full((2, 3), 8.0)])
    padded = pad_motion(tokens, 4)[:, 0, 0]
    # i / P of the first frame, then 1 - i / P of the last.
    assert padded.tolist() == [0, 1, 2, 3, 4, 9, 8, 8, 6, 4, 2]


def test_no_padding_changes_nothing():
    tokens = torch.ones(3, 2, 4)
    assert pad_motion(tokens, 0) is tokens


@pytest.mark.parametrize("pad_frames", [1, 15])
def test_padding_is_added_at_both_ends(pad_frames):
    assert pad_motion(torch.ones(7, 2, 4), pad_frames).shape == (7 + 2 * pad_frames, 2, 4)
