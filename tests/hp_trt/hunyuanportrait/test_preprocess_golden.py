"""Every recorded preprocessing case, whatever its sizes."""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.faces.align import aligned_face
from hp_trt.faces.yoloface import detections, grids, network_input
from hp_trt.hunyuanportrait.geometry import face_box, motion_ids, portrait_box
from hp_trt.media.paste import PasteBack, soft_mask
from hp_trt.media.pixels import center_crop, crop_resized
from tests.golden_cases import Case, check, golden_cases, load_case

# Float results are the same few float64 operations, and recorded masks were rounded to 7 decimals. Integers must be
# equal and uint8 within 1 (see `check`).
TOLERANCE = 1e-6


def process_bbox(case: Case) -> dict[str, np.ndarray]:
    pairs = zip(case.inputs["boxes"], case.inputs["image_sizes"], strict=True)
    ratio = case.options["ratio"]
    return {"boxes": np.array([portrait_box(b, height=s[0], width=s[1], ratio=ratio) for b, s in pairs])}


def face_crop(case: Case) -> dict[str, np.ndarray]:
    pairs = zip(case.inputs["boxes"], case.inputs["image_sizes"], strict=True)
    crops = [center_crop(box, height=int(size[0]), width=int(size[1])) for box, size in pairs]
    return {
        "crop_sizes": np.array([(c.side, c.side) for c in crops]),
        "pads": np.array([(c.top, c.left) for c in crops]),
        "valid_sizes": np.array([(c.height, c.width) for c in crops]),
        "source_origins": np.array([(c.y, c.x) for c in crops]),
    }


def face_boxes(case: Case) -> dict[str, np.ndarray]:
    pairs = zip(case.inputs["landmarks"], case.inputs["first_frame_boxes"], strict=True)
    return {"boxes": np.array([face_box(landmarks, first) for landmarks, first in pairs])}


def chunk_ids(case: Case) -> dict[str, np.ndarray]:
    ends = np.cumsum(case.inputs["frame_counts"])
    options = {"nose": case.options["nose_index"]} | {k: case.options[k] for k in ("head_scale", "exp_scale", "max_id")}
    return {"ids": np.array([motion_ids(c, **options) for c in np.split(case.inputs["landmarks"], ends[:-1])])}


def mask(case: Case) -> dict[str, np.ndarray]:
    return {"mask": soft_mask(*case.options["size"], case.options["border_ratio"])}


def detector_geometry(case: Case) -> dict[str, np.ndarray]:
    rgb = np.ascontiguousarray(case.inputs["image"][:, :, ::-1])
    tensor = network_input(rgb, case.options["input_size"])
    cells = grids(*tensor.shape[2:], case.options["strides"])
    return {
        "network_input_shape": np.array(tensor.shape),
        "grid_shapes": np.array([g.shape for g in cells]),
        "grid32_row1_col2": cells[-1][0, 0, 1, 2],
        "grid8_last": cells[0][0, 0, -1, -1],
        "network_input_mean": tensor[0].mean(axis=(1, 2), dtype=np.float64),
        "network_input": tensor[0],
    }


def detector_nms(case: Case) -> dict[str, np.ndarray]:
    options = case.options
    found = detections(
        case.inputs["predictions"],
        image_size=tuple(options["image_size"]),
        network_size=tuple(options["network_size"]),
        conf_threshold=options["conf_threshold"],
        iou_threshold=options["iou_threshold"],
    )
    return {
        "landmarks": np.array([f.landmarks for f in found]).reshape(-1, 5, 2),
        "scores": np.array([f.score for f in found]),
        "boxes": np.array([f.box for f in found]).reshape(-1, 4),
    }


def alignment(case: Case) -> dict[str, np.ndarray]:
    image, size = case.inputs["image"], case.options["size"]
    return {"aligned": np.array([aligned_face(image, points, size) for points in case.inputs["landmarks"]])}


def resizing(case: Case) -> dict[str, np.ndarray]:
    return {"image": crop_resized(case.inputs["image"], case.inputs["box"], case.options["size"])}


def paste_back(case: Case) -> dict[str, np.ndarray]:
    image, generated = case.inputs["image"], case.inputs["generated"]
    ratio = case.options["border_ratio"]
    return {"images": np.array([PasteBack(image, box, ratio)(generated) for box in case.inputs["boxes"]])}


TARGETS = {
    "process_bbox": process_bbox,
    "face_crop": face_crop,
    "face_box": face_boxes,
    "motion_ids": chunk_ids,
    "soft_mask": mask,
    "detector_geometry": detector_geometry,
    "detector_nms": detector_nms,
    "arcface_alignment": alignment,
    "crop_resize": resizing,
    "paste_back": paste_back,
}


def tolerance(case: Case) -> float:
    """Of a recorded case, relative to its outputs' scale.

    An aligned face was sampled at places in float32. Such a place is off by half a step of float32 at the picture's far
    end, in x and in y; where black is beside white, the sample is off by as much, of values in [0, 1].
    """
    if case.facts["target"] != "arcface_alignment":
        return TOLERANCE
    step_px = float(np.spacing(np.float32(max(case.inputs["image"].shape[:2]))))
    return 2 * step_px / 2 / case.facts["outputs"]["aligned"]["scale"]


def test_an_aligned_face_has_room_for_float32_and_none_for_a_thousandth_of_a_pixel():
    case = load_case("arcface_alignment")
    assert 3.0e-6 < tolerance(case) < 2e-5  # another recording of the same program was 3.0e-6 off
    case.inputs["landmarks"] = case.inputs["landmarks"] + 1e-3
    with pytest.raises(AssertionError, match="aligned: error"):
        check(case, alignment(case), tolerance(case))


@golden_cases(kind="preprocess")
def test_preprocessing_matches_its_golden_case(case_name):
    case = load_case(case_name)
    check(case, TARGETS[case.facts["target"]](case), tolerance(case))
