"""The recorded program's picture and masks, from its picture and landmarks, as a user would give them."""

from __future__ import annotations

import numpy as np

from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.faces.mesh_points import face_of
from hp_trt.hallo2.portrait import talk_portrait
from tests.golden_cases import HALLO2_FOLDER, check, compare, golden_cases, load_case

TOLERANCE = 1e-3  # of a program; its pictures and masks are 8-bit numbers, and come out equal


@golden_cases(kind="program", folder=HALLO2_FOLDER)
def test_the_picture_and_its_masks_are_the_released_programs(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    picture, points, options = case.inputs["picture"], case.inputs["landmarks"], case.options
    names = [name for name in case.outputs if name.startswith("mask.")]
    side = options["size"]
    portrait = talk_portrait(
        picture,
        LandmarksFile([[face_of(points, 1.0)]], height=picture.shape[0], width=picture.shape[1]),
        side_px=side,
        levels=sum(name.startswith("mask.full.") for name in names),
        face_ratio=options["face_expand_ratio"],
        lip_ratio=options["lip_expand_ratio"],
    )
    assert portrait.box == (0, 0, picture.shape[1], picture.shape[0])
    masks = {
        f"mask.{kind}.{level}": row
        for level, rows in enumerate(portrait.masks.levels)
        for kind, row in zip(("full", "face", "lip"), rows, strict=True)
    }
    check(case, masks, TOLERANCE, only=names)
    # The first clip's motion frames are the source picture with pixels dropped.
    kept = (case.inputs["fields"][0] > options["mask_rate"]) | (portrait.masks.face_region > 0)
    first = np.concatenate([portrait.source, *[portrait.source * kept] * options["motion_frames"]])
    entry = case.facts["outputs"]["pictures"]
    clips = next((part["indices"] for part in entry.get("select", []) if part["axis"] == 0), None)
    where = 0 if clips is None else clips.index(0)
    of_a_clip = {**entry, "select": [part for part in entry.get("select", []) if part["axis"] > 0]}
    compare(f"{case.name}: pictures", first[None], of_a_clip, case.outputs["pictures"][[where]], TOLERANCE)
