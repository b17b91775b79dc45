"""The crops, ids and paste-back of the whole program's golden cases, without any network.

The recorded video stands in for the networks, so every step here must hit its recording by itself.
"""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.hunyuanportrait.crops import reference_image
from hp_trt.hunyuanportrait.driving import DrivingCrops, first_face
from hp_trt.hunyuanportrait.geometry import corners, motion_ids, portrait_box
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.media.paste import PasteBack
from hp_trt.media.pixels import crop_resized
from tests.golden_cases import check, compare, golden_cases, load_case
from tests.golden_program import driving_faces, driving_frames, motion_px, portrait_faces, recorded_names

TOLERANCE = 1e-5  # torch resized the recorded 224 image in float32, ours is a product of two float32 matrices


@golden_cases(kind="program")
def test_portrait_crops_match_the_program(case_name):
    case = load_case(case_name)
    side = case.config["appearance"]["image_hw"][0]
    crop = portrait_crop(
        case.inputs["source_image"], portrait_faces(case), crop_px=case.options["crop_size"], appearance_px=side
    )
    results = {
        "crop_bbox": np.array(crop.box),
        "reference_image": crop.reference,
        "transformed_image": crop.transformed,
        "arcface_image": crop.arcface.transpose(1, 2, 0),
        "arcface_input": crop.arcface,
    }
    check(case, results, TOLERANCE, only=recorded_names(case, results))


@golden_cases(kind="program")
def test_driving_crops_and_ids_match_the_program(case_name):
    case = load_case(case_name)
    frames, crop_px, window = driving_frames(case), case.options["crop_size"], case.options["window"]
    height, width = frames.shape[1:3]
    locator = LandmarksFile(driving_faces(case), height=height, width=width)
    first = first_face(frames, locator)

    crops = list(DrivingCrops(locator, first, crop_px=crop_px, size=motion_px(case)).crops(frames))

    landmarks = np.array([c.landmarks for c in crops])
    pose_box = portrait_box(corners(first.box), height=height, width=width)
    results = {
        "face_images": np.array([c.face_image for c in crops]),
        "pose_images": np.array([c.pose_image for c in crops]),
        "driven_image": np.array([reference_image(crop_resized(f, pose_box, crop_px)) for f in frames]),
        "landmarks_selected": landmarks,
        "motion_ids": np.array([motion_ids(landmarks[i : i + window]) for i in range(0, len(landmarks), window)]),
    }
    check(case, results, TOLERANCE, only=recorded_names(case, results))


@golden_cases(kind="program")
def test_pasting_back_matches_the_program(case_name):
    case = load_case(case_name)
    entries = case.facts["outputs"]
    if entries["video"].get("select") or entries["video"].get("encoding"):
        pytest.skip("only a part of the video was recorded; the whole program's test covers the pasting")
    paste = PasteBack(case.inputs["source_image"], case.outputs["crop_bbox"])
    squares = (case.outputs["video"] * 255).astype(np.uint8).transpose(0, 2, 3, 1)  # truncated: SPEC 9
    frames = np.array([paste(square) for square in squares])
    compare("pasted_frames", frames, entries["pasted_frames"], case.outputs["pasted_frames"], TOLERANCE)
