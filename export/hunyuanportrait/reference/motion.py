"""Motion tokens of a driving clip: intensity ids, the three networks chunk by chunk, ramps at both ends.

Source: SPEC 3.4, 7.4, 7.5.
"""

from __future__ import annotations

import math

import torch

from export.hunyuanportrait.networks.expression import Expression
from export.hunyuanportrait.networks.head_pose import HeadPose, rotation_deg
from export.hunyuanportrait.networks.motion_refiner import MotionRefiner

NOSE = 2  # of the detector's five landmarks
HEAD_SCALE, EXPRESSION_SCALE, MAX_ID = 256, 1024, 127


def motion_ids(landmarks: torch.Tensor) -> tuple[int, int]:
    """(n, 5, 2) landmarks of a chunk's frames -> (head id, expression id), each 0..127; one frame gives (0, 0).

    The unit is the diagonal of the landmarks' bounding box in the chunk's first frame.
    """
    if len(landmarks) == 1:
        return 0, 0
    landmarks = landmarks.double()
    nose = landmarks[:, NOSE]
    relative = landmarks - nose[:, None]
    width, height = (relative[0].amax(dim=0) - relative[0].amin(dim=0)).tolist()
    unit = math.sqrt(width**2 + height**2)
    head = (nose - nose.mean(dim=0)).norm(dim=-1).mean().item()
    expression = (relative - relative.mean(dim=0)).norm(dim=-1).mean().item()
    ids = int(head / unit * HEAD_SCALE), int(expression / unit * EXPRESSION_SCALE)
    return min(max(ids[0], 0), MAX_ID), min(max(ids[1], 0), MAX_ID)


def chunk_motion_tokens(
    expression: Expression,
    motion_refiner: MotionRefiner,
    head_pose: HeadPose,
    face_images: torch.Tensor,
    pose_images: torch.Tensor,
    ids: tuple[int, int],
) -> torch.Tensor:
    """(n, 3, P, P) faces and poses in [0, 1] of one chunk -> (n, m, D)."""
    head_id, exp_id = (torch.tensor([i], device=face_images.device) for i in ids)
    refined = motion_refiner(expression(face_images), head_id, exp_id)
    rotation = rotation_deg(head_pose(pose_images))
    pose = torch.cat([rotation, torch.zeros_like(rotation)], dim=1)
    return torch.cat([refined, pose[:, None].repeat(1, refined.shape[1], 1)], dim=2)


def pad_motion(tokens: torch.Tensor, pad_frames: int) -> torch.Tensor:
    """(N, m, D) -> (N + 2 pad_frames, m, D): the first frame fades in from 0, the last fades out."""
    if pad_frames == 0:
        return tokens
    ramp = (torch.arange(pad_frames, dtype=torch.float32, device=tokens.device) / pad_frames)[:, None, None]
    return torch.cat([ramp * tokens[:1], tokens, (1 - ramp) * tokens[-1:]])
