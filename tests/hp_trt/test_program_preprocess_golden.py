"""The crops, ids and paste-back of the whole program's golden cases, without any network.

The recorded video stands in for the networks, so every step here must hit its recording by itself.
"""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.align import aligned_face
from hp_trt.crops import crop_resized, reference_image
from hp_trt.driving import DrivingCrops, first_face
from hp_trt.faces import Face, largest_face
from hp_trt.geometry import corners, motion_ids, portrait_box
from hp_trt.landmarks_file import LandmarksFile
from hp_trt.paste import PasteBack, to_uint8
from hp_trt.portrait import portrait_crop
from tests.golden_cases import Case, compare, golden_cases, load_case

TOLERANCE = 1e-5  # torch resized the recorded 224 image in float32, ours is a product of two float32 matrices


def recorded(case: Case, what: str) -> list[list[Face]]:
    boxes, landmarks, scores = (case.inputs[f"det_{what}_{part}"] for part in ("boxes", "landmarks", "scores"))
    if boxes.ndim == 2:
        boxes, landmarks, scores = boxes[None], landmarks[None], scores[None]
    return [
        [Face(box=tuple(b.tolist()), landmarks=points, score=float(s)) for b, points, s in zip(*frame, strict=True)]
        for frame in zip(boxes, landmarks, scores, strict=True)
    ]


class Answers:
    """A detector that was asked before."""

    name, reads_pixels, steadiness = "recorded detections", True, 0.0

    def __init__(self, answers: list[list[Face]]) -> None:
        self.answers = answers

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        return self.answers.pop(0)


@golden_cases(kind="program")
def test_portrait_crops_match_the_program(case_name):
    case = load_case(case_name)
    source, crop_px = case.inputs["source_image"], case.options["crop_size"]
    appearance_px = case.outputs["transformed_image"].shape[-1]
    locator = Answers(recorded(case, "source") + recorded(case, "crop"))

    crop = portrait_crop(source, locator, crop_px=crop_px, appearance_px=appearance_px)

    found = {
        "crop_bbox": np.array(crop.box),
        "reference_image": crop.reference,
        "transformed_image": crop.transformed,
        "arcface_image": aligned_face(crop.crop, largest_face(recorded(case, "crop")[0]).landmarks),
        "arcface_input": crop.arcface,
    }
    for name, value in found.items():
        compare(name, value, case.facts["outputs"][name], case.outputs[name], TOLERANCE)


@golden_cases(kind="program")
def test_driving_crops_and_ids_match_the_program(case_name):
    case = load_case(case_name)
    frames, crop_px, window = case.inputs["driving_frames"], case.options["crop_size"], case.options["window"]
    height, width = frames.shape[1:3]
    locator = LandmarksFile(recorded(case, "driving"), height=height, width=width)
    first = first_face(frames, locator)

    crops = list(DrivingCrops(locator, first, crop_px=crop_px).crops(frames))

    landmarks = np.array([c.landmarks for c in crops])
    pose_box = portrait_box(corners(first.box), height=height, width=width)
    found = {
        "face_images": np.array([c.face_image for c in crops]),
        "pose_images": np.array([c.pose_image for c in crops]),
        "driven_image": np.array([reference_image(crop_resized(f, pose_box, crop_px)) for f in frames]),
        "landmarks_selected": landmarks,
        "motion_ids": np.array([motion_ids(landmarks[i : i + window]) for i in range(0, len(landmarks), window)]),
    }
    for name, entry in case.facts["outputs"].items():
        if name.removesuffix("_u8") in found:
            compare(name, found[name.removesuffix("_u8")], entry, case.outputs[name], TOLERANCE)


@golden_cases(kind="program")
def test_pasting_back_matches_the_program(case_name):
    case = load_case(case_name)
    entries = case.facts["outputs"]
    if entries["video"].get("select") or entries["video"].get("encoding"):
        pytest.skip("only a part of the video was recorded; the whole program's test covers the pasting")
    paste = PasteBack(case.inputs["source_image"], case.outputs["crop_bbox"])
    frames = np.array([paste(to_uint8(frame)) for frame in case.outputs["video"]])
    compare("pasted_frames", frames, entries["pasted_frames"], case.outputs["pasted_frames"], TOLERANCE)
