"""The second phase: the two networks that look at driving frames, taught what the drawing was told.

The expression network's features are the state itself, in its first entries, and zeros: nothing else is asked of
them, so they can carry nobody's identity. The head pose network gives the angles in degrees, as published.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from export.hunyuanportrait.networks.expression import Expression
from export.hunyuanportrait.networks.head_pose import HeadPose, rotation_deg
from export.hunyuanportrait.training.clips import DrivingClips, as_planes, normalised
from export.training.phase import Modules

_BATCH = 64
_PER_CLIP = 4


class MotionNetworks:
    """Driving frames to the state that was drawn."""

    name = "motion"
    curves: tuple[str, ...] = ("loss", "expression", "degrees")
    batches = 1
    learning_rate = 2e-3
    faster: Mapping[str, float] = {}

    def __init__(
        self,
        expression: Expression,
        head_pose: HeadPose,
        clips: DrivingClips,
        numbers: list[int],
        steps: int,
        device: torch.device,
        *,
        times: int = 1,
    ) -> None:
        """`times`: as many frames in a batch as are usual."""
        self.frames = times * _BATCH
        self.expression, self.head_pose = expression, head_pose
        self.clips, self.numbers, self.steps, self.device = clips, numbers, steps, device
        self.modules: Modules = {"expression": expression, "head_pose": head_pose}

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        faces, poses, states = [], [], []
        for _ in range(self.frames // _PER_CLIP):
            clip = self.clips.load(int(rng.choice(self.numbers)))
            frames = np.sort(rng.choice(len(clip.faces), _PER_CLIP, replace=False))
            faces.append(clip.faces[frames])
            poses.append(clip.poses[frames])
            states.append(clip.states[frames])
        groups = len(faces)
        face, pose = (disguised(as_planes(np.concatenate(seen), self.device), groups) for seen in (faces, poses))
        target = torch.from_numpy(normalised(np.concatenate(states))).to(self.device)
        features = self.expression(face).float()
        wanted = F.pad(target, (0, features.shape[1] - target.shape[1]))
        told = F.smooth_l1_loss(features, wanted, beta=0.1, reduction="none").sum(dim=1).mean()
        angles = torch.from_numpy(np.concatenate(states)[:, :3]).to(self.device)
        turned = F.smooth_l1_loss(rotation_deg(self.head_pose(pose).float()), angles, beta=1.0)
        return {
            "loss": told + 0.5 * turned,
            "expression": (features - wanted)[:, : target.shape[1]].abs().mean(),
            "degrees": turned,
        }

    def finish(self, modules: Modules) -> None:
        """The averaged networks are what is kept; nothing else to do."""


def disguised(images: Tensor, groups: int) -> Tensor:
    """Driving frames (groups * n, 3, M, M) in [0, 1], in other colours and proportions, the same within a group."""
    n = images.shape[0] // groups
    device = images.device

    def each(low: float, high: float, *shape: int) -> Tensor:
        value = low + (high - low) * torch.rand(groups, *shape, device=device)
        return value.repeat_interleave(n, dim=0)

    mix = torch.eye(3, device=device) + each(-0.25, 0.25, 3, 3)
    images = torch.einsum("nij,njhw->nihw", mix, images - 0.5) * each(0.7, 1.2, 1, 1, 1) + 0.5
    images = images + each(-0.12, 0.12, 3, 1, 1)
    images = images.clamp(1e-4, 1) ** each(0.7, 1.4, 1, 1, 1)
    theta = torch.zeros(images.shape[0], 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1] = each(0.985, 1.015), each(0.985, 1.015)
    theta[:, :, 2] = each(-0.005, 0.005, 2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return (images + each(0, 0.03, 1, 1, 1) * torch.randn_like(images)).clamp(0, 1)
