"""The whole program against its golden cases: hp_trt's crops and paste-back around the torch reference."""

from __future__ import annotations

import numpy as np
import torch

from export.hunyuanportrait.reference.networks import random_networks
from export.hunyuanportrait.reference.program import run_program
from export.hunyuanportrait.reference.sample import SamplingOptions
from hp_trt.faces.face import largest_face
from hp_trt.hunyuanportrait.crops import reference_image
from hp_trt.hunyuanportrait.driving import DrivingCrops
from hp_trt.hunyuanportrait.geometry import corners, portrait_box
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.media.paste import PasteBack
from hp_trt.media.pixels import crop_resized
from tests.golden_cases import LOOP_TOLERANCE, check, golden_cases, load_case
from tests.golden_program import (
    RecordedFaces,
    driving_faces,
    driving_frames,
    id_embedding,
    motion_px,
    portrait_faces,
)


@golden_cases(kind="program")
def test_program_matches_its_golden_case(case_name):
    case = load_case(case_name)
    inputs, options = case.inputs, case.options
    crop_px = options["crop_size"]

    portrait = portrait_crop(
        inputs["source_image"],
        portrait_faces(case),
        crop_px=crop_px,
        appearance_px=case.config["appearance"]["image_hw"][0],
    )
    identity = id_embedding(case, portrait.arcface)

    detections, frames = driving_faces(case), driving_frames(case)
    first = largest_face(detections[0])
    cropper = DrivingCrops(RecordedFaces(*detections), first, crop_px=crop_px, size=motion_px(case))
    crops = list(cropper.crops(frames))
    pose_box = portrait_box(corners(first.box), height=frames.shape[1], width=frames.shape[2])
    landmarks = np.stack([crop.landmarks for crop in crops])
    face_images = np.stack([crop.face_image for crop in crops])
    pose_images = np.stack([crop.pose_image for crop in crops])

    configs = {**case.config, "unet": {**case.config["unet"], "motion_scale": options["motion_scale"]}}
    result = run_program(
        random_networks(configs, case.weight_prefix),
        SamplingOptions(**{k: options[k] for k in SamplingOptions.__dataclass_fields__}),
        pad_frames=options["pad_frames"],
        reference_image=torch.from_numpy(portrait.reference),
        transformed_image=torch.from_numpy(portrait.transformed),
        id_embedding=torch.from_numpy(identity),
        face_images=torch.from_numpy(face_images),
        pose_images=torch.from_numpy(pose_images),
        landmarks=torch.from_numpy(landmarks),
        noise_aug=torch.from_numpy(inputs["noise_aug"]),
        initial_noise=torch.from_numpy(inputs["initial_noise"]),
    )

    paste = PasteBack(inputs["source_image"], portrait.box)
    results = {
        "crop_bbox": np.array(portrait.box),
        "reference_image": portrait.reference,
        "transformed_image": portrait.transformed,
        "arcface_image": portrait.arcface.transpose(1, 2, 0),
        "arcface_input": portrait.arcface,
        "id_embedding": identity,
        "face_images": face_images,
        "pose_images": pose_images,
        "driven_image": np.stack([reference_image(crop_resized(frame, pose_box, crop_px)) for frame in frames]),
        "landmarks_selected": landmarks,
        "motion_ids": result.motion_ids,
        "motion_tokens": result.motion_tokens,
        "video": result.video,
        # Truncated, not rounded: SPEC 9.
        "pasted_frames": np.stack(
            [paste((f * 255).astype(np.uint8)) for f in result.video.numpy().transpose(0, 2, 3, 1)]
        ),
    }
    check(case, results, LOOP_TOLERANCE)
