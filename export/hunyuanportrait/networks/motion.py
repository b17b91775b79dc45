"""The `motion` graph: driving frames to motion tokens, three networks in one module.

    tokens = concat(refined expression, rotation in degrees, zeros)

The degrees enter as they are, up to 180 beside features of size one, and the translation is
multiplied by 0 upstream. Frames are the batch and stay dynamic; the intensity ids hold for all
frames of a call (one pair for each group of 25 in the released program).

Source: SPEC 3.4.
"""

from __future__ import annotations

import torch
from torch import nn

from export.hunyuanportrait.networks.expression import Expression
from export.hunyuanportrait.networks.head_pose import HeadPose, rotation_deg
from export.hunyuanportrait.networks.motion_refiner import MotionRefiner


class Motion(nn.Module):
    """Shares the parameters of the three networks it is made of; compute is fp32, the tokens are `token_dtype`."""

    def __init__(
        self,
        *,
        expression: Expression,
        motion_refiner: MotionRefiner,
        head_pose: HeadPose,
        token_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.expression = expression
        self.motion_refiner = motion_refiner
        self.head_pose = head_pose
        self.token_dtype = token_dtype

    def forward(
        self,
        face_images: torch.Tensor,
        pose_images: torch.Tensor,
        head_id: torch.Tensor,
        exp_id: torch.Tensor,
    ) -> torch.Tensor:
        """(n, 3, P, P) and (n, 3, P, P) in [0, 1], ids (1) int64 in 0..127 -> (n, m, D)."""
        refined = self.motion_refiner(self.expression(face_images), head_id, exp_id)
        rotation = rotation_deg(self.head_pose(pose_images))
        pose = torch.cat([rotation, torch.zeros_like(rotation)], dim=1)  # translation * 0
        pose = pose.unsqueeze(1).expand(-1, refined.shape[1], -1)
        return torch.cat([refined, pose], dim=2).to(self.token_dtype)
