"""Every recorded case of boxes and masks, whatever its sizes and its number of levels."""

from __future__ import annotations

import numpy as np

from hp_trt.hallo2.masks import box_picture, masks, soft_pictures
from hp_trt.hallo2.regions import expand_box, face_and_lip_boxes
from tests.golden_cases import HALLO2_FOLDER, check, golden_cases, load_case

# Masks are 8-bit numbers divided by 255. Pictures of 8 bits may be one off on another processor, where a blur is summed
# in another order; then a mask's cell is off by 1/255 too.
MASK_TOLERANCE = 1.01 / 255
NAMES = "full", "face", "lip"


@golden_cases(kind="preprocess", targets=["expand_box"], folder=HALLO2_FOLDER)
def test_boxes_grow_as_released(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    rows = zip(case.inputs["boxes"], case.inputs["image_sizes"], case.inputs["ratios"], strict=True)
    made = [expand_box(tuple(b.tolist()), height=int(h), width=int(w), ratio=float(r)) for b, (h, w), r in rows]
    check(case, {"boxes": np.array(made)}, 0)


@golden_cases(kind="preprocess", targets=["attention_masks"], folder=HALLO2_FOLDER)
def test_face_region_and_masks_are_the_released_ones(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    height, width = case.options["image_size"]
    regions = face_and_lip_boxes(
        case.inputs["landmarks"],
        height=height,
        width=width,
        face_ratio=case.options["face_expand_ratio"],
        lip_ratio=case.options["lip_expand_ratio"],
    )
    levels = sum(name.startswith("mask.full.") for name in case.outputs)
    side = case.options["network_size"]
    made = masks(regions, height=height, width=width, side_px=side, levels=levels)
    soft = soft_pictures(regions, height=height, width=width)
    results = {
        "face_box": _area(box_picture(regions.face, height=height, width=width)),
        "lip_box": _area(box_picture(regions.lips, height=height, width=width)),
        "face_soft": soft.face_soft,
        "lip_soft": soft.lip_soft,
        "background": soft.full,
        "face": soft.face,
        "face_region": made.face_region,
    }
    for level, mask in enumerate(made.levels):
        results |= {f"mask.{name}.{level}": row for name, row in zip(NAMES, mask, strict=True)}
    exact = [name for name in case.outputs if not name.startswith("mask.")]
    check(case, results, 1e-6, only=exact)
    for name in case.outputs.keys() - set(exact):
        np.testing.assert_allclose(results[name], case.outputs[name], rtol=0, atol=MASK_TOLERANCE)


def _area(picture: np.ndarray) -> np.ndarray:
    """x0, y0, x1, y1 of what is 255: the cases record that, and no box."""
    rows, columns = np.nonzero(picture)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
