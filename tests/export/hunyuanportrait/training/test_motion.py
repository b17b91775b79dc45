"""Driving frames in disguise: other colours and proportions, the same all through a clip."""

import torch

from export.hunyuanportrait.training.motion import disguised


def test_frames_of_a_clip_are_disguised_alike_and_clips_differently():
    torch.manual_seed(0)
    frame = torch.rand(1, 3, 32, 32).expand(6, -1, -1, -1)
    made = disguised(frame, groups=2).mean(dim=(2, 3))  # colours, without the noise
    within = (made[:3] - made[:1]).abs().max(), (made[3:] - made[3:4]).abs().max()
    assert max(within) < 0.01  # noise of at most 0.03, over a thousand pixels
    assert (made[0] - made[3]).abs().max() > 0.02


def test_a_disguise_stays_a_picture():
    torch.manual_seed(1)
    made = disguised(torch.rand(8, 3, 32, 32), groups=4)
    assert made.shape == (8, 3, 32, 32)
    assert made.min() >= 0
    assert made.max() <= 1
