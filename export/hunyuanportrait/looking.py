"""A portrait and a driving video through the literal program, and what its frames attend to."""

from __future__ import annotations

from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import torch

from export.attention_maps.maps import Looked
from export.hunyuanportrait.attention import FRAME, Watched, watching
from export.hunyuanportrait.presets import PRESETS
from export.hunyuanportrait.reference.program import run_program
from export.hunyuanportrait.reference.sample import SamplingOptions
from export.hunyuanportrait.reference.unet import ReferenceUNet
from export.hunyuanportrait.reference.weights import released_networks
from hp_trt.faces.face import FaceLocator
from hp_trt.hunyuanportrait.driving import DrivingCrops, first_face
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.media.images import load_image
from hp_trt.media.video import VideoReader


def looked_at(
    preset: str,
    weights: Path | None,
    *,
    portrait: Path,
    driving: Path,
    locator: FaceLocator,
    driving_locator: FaceLocator,
    steps: int,
    seed: int = 42,
) -> Looked:
    """One window of `preset` with `weights` (None: random), in so many steps, and what it attends to.

    Raises InputError, FaceNotFound, CheckpointError.
    """
    chosen = PRESETS[preset]
    networks = released_networks(preset, {}, weights)
    sizes = chosen.architecture.appearance["image_hw"]
    crop = portrait_crop(load_image(portrait), locator, crop_px=chosen.size, appearance_px=sizes[0], what=str(portrait))
    reader = VideoReader(driving)
    images = list(islice(iter(reader), chosen.frames))
    cropper = DrivingCrops(
        driving_locator, first_face(iter(images), driving_locator), crop_px=chosen.size, size=chosen.motion_px
    )
    crops = list(cropper.crops(iter(images)))
    known = {option.name for option in fields(SamplingOptions)}
    own = {name: value for name, value in chosen.sampling.items() if name in known}
    options = SamplingOptions(**{**own, "num_inference_steps": steps, "window": len(crops)})
    generator, side = torch.Generator().manual_seed(seed), chosen.size // 8
    watched = Watched()
    with torch.no_grad(), watching(cast(ReferenceUNet, networks["unet"]), watched):
        made = run_program(
            networks,
            options,
            pad_frames=0,
            reference_image=torch.from_numpy(crop.reference),
            transformed_image=torch.from_numpy(crop.transformed),
            id_embedding=torch.zeros(512),
            face_images=torch.from_numpy(np.stack([c.face_image for c in crops])),
            pose_images=torch.from_numpy(np.stack([c.pose_image for c in crops])),
            landmarks=torch.from_numpy(np.stack([c.landmarks for c in crops])),
            noise_aug=torch.randn(3, chosen.size, chosen.size, generator=generator),
            initial_noise=torch.randn(len(crops), 4, side, side, generator=generator),
        )
    frame = (made.video[len(crops) // 2] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Looked(pictures={FRAME: frame}, maps=watched.maps())
