"""A portrait and a driving video through the literal program, and what its frames attend to (`attention.py`)."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import cast

import numpy as np
import torch

from export.attention_maps.asked import STEPS, Asked
from export.attention_maps.maps import Looked
from export.hunyuanportrait.looking.attention import FRAME, Watched, watching
from export.hunyuanportrait.model import HunyuanPortrait
from export.hunyuanportrait.presets import PRESETS, Preset
from export.hunyuanportrait.reference.program import run_program
from export.hunyuanportrait.reference.racing import released_options
from export.hunyuanportrait.reference.unet import ReferenceUNet
from export.hunyuanportrait.reference.weights import released_networks
from export.hunyuanportrait.reference.windows import shifts, window_frames, window_starts
from hp_trt.hunyuanportrait.driving import DrivingCrop, DrivingCrops, first_seen
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.media.driving_frames import DrivingFrames
from hp_trt.media.images import load_picture
from runtime.hunyuanportrait import noise
from runtime.hunyuanportrait.sampling import Sampling


def looked_at(asked: Asked) -> Looked:
    """The driving video's beginning, as many frames as a window has, and what each of them attends to.

    Raises InputError, FaceNotFound, CheckpointError.
    """
    preset = PRESETS[asked.preset]
    sampling = _sampling(preset, asked.steps)
    appearance_px = preset.architecture.appearance["image_hw"][0]
    picture = load_picture(asked.portrait).pixels
    portrait = portrait_crop(
        picture, asked.locator, crop_px=preset.size, appearance_px=appearance_px, what=str(asked.portrait)
    )
    crops = _driving(asked, preset)
    padded, side = len(crops) + 2 * sampling.pad_frames, preset.size // 8
    networks = released_networks(asked.preset, {}, asked.weights)
    watched = Watched(windows=_windows(sampling, len(crops)))
    with torch.no_grad(), watching(cast(ReferenceUNet, networks["unet"]), watched):
        made = run_program(
            networks,
            released_options(sampling),
            pad_frames=sampling.pad_frames,
            reference_image=torch.from_numpy(portrait.reference),
            transformed_image=torch.from_numpy(portrait.transformed),
            id_embedding=torch.zeros(preset.architecture.appearance["id_dim"]),
            face_images=torch.from_numpy(np.stack([crop.face_image for crop in crops])),
            pose_images=torch.from_numpy(np.stack([crop.pose_image for crop in crops])),
            landmarks=torch.from_numpy(np.stack([crop.landmarks for crop in crops])),
            noise_aug=torch.from_numpy(noise.noise_aug(sampling.seed, preset.size, preset.size)[0]),
            initial_noise=torch.from_numpy(
                noise.initial_noise(sampling.seed, (padded, 4, side, side), preset.size, preset.size)
            ),
        )
    middle = (made.video[len(crops) // 2] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Looked(pictures={FRAME: middle}, found=watched.found())


def _sampling(preset: Preset, steps: int | None) -> Sampling:
    """The preset's own, but for the steps."""
    own = Sampling.from_manifest(HunyuanPortrait(preset=preset).sampling(preset.frames))
    return replace(own, steps=min(STEPS, own.steps) if steps is None else steps)


def _driving(asked: Asked, preset: Preset) -> list[DrivingCrop]:
    """Those of the video's beginning, which shows a face in time."""
    video = DrivingFrames(asked.driver)
    frames = list(islice(video, preset.frames))
    shown, face = first_seen(frames, asked.driving_locator, video.name)
    cropper = DrivingCrops(asked.driving_locator, face, shown=shown, crop_px=preset.size, size=preset.motion_px)
    return list(cropper.crops(frames))


def _windows(sampling: Sampling, frames: int) -> list[list[int]]:
    """Of each window, step by step, the places that hold one of the clip's frames."""
    pad, window = sampling.pad_frames, sampling.window
    clip, padded = range(pad, pad + frames), frames + 2 * pad
    return [
        [place for place, frame in enumerate(window_frames(start, frames=padded, window=window)) if frame in clip]
        for shift in shifts(sampling.executed_steps, window=window, shift_offset=sampling.shift)
        for start in window_starts(padded, window=window, overlap=sampling.overlap, shift=shift)
    ]
