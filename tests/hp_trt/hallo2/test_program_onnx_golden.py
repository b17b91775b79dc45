"""The whole program on exported graphs, from picture, landmarks and wave to frames, against the released one."""

from __future__ import annotations

import numpy as np

from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.faces.mesh_points import face_of
from hp_trt.hallo2.portrait import talk_portrait
from runtime.decode import to_uint8
from runtime.hallo2.presets import PIECE_S, SAMPLE_RATE
from runtime.hallo2.speech import audio_tokens
from tests.golden_cases import HALLO2_FOLDER, HALLO2_SHIPPED, chain_tolerance, check, discover, golden_cases, load_case
from tests.runtime.hallo2.golden_chain import GoldenChain, same_graphs


def test_the_shipped_folder_has_golden_programs():
    assert discover(kind="program", folder=HALLO2_SHIPPED)


@golden_cases(kind="program", folder=HALLO2_FOLDER, group=same_graphs)
def test_the_program_on_exported_graphs_matches_its_golden_case(case_name, cache, backend):
    case = load_case(case_name, HALLO2_FOLDER)
    golden, options = GoldenChain(case, cache, backend), case.options
    picture, wave = case.inputs["picture"], case.inputs["wave_pcm16"].astype(np.float32) / 32768
    portrait = talk_portrait(
        picture,
        LandmarksFile([[face_of(case.inputs["landmarks"], 1.0)]], height=picture.shape[0], width=picture.shape[1]),
        side_px=options["size"],
        levels=len(case.config["denoising_unet"]["channels"]),
        face_ratio=options["face_expand_ratio"],
        lip_ratio=options["lip_expand_ratio"],
    )
    piece = PIECE_S * SAMPLE_RATE
    tokens = audio_tokens(
        backend,
        golden.sessions,
        [wave[start : start + piece] for start in range(0, len(wave), piece)],
        clip=golden.frames,
        released=True,
    )
    results = golden.run(
        picture=portrait.source,
        face_region=portrait.masks.face_region,
        masks=portrait.masks.levels,
        audio_tokens=tokens,
    )
    results["audio_features"] = np.concatenate([run["features"] for run in golden.sessions["speech_encoder"].outputs])
    for level, rows in enumerate(portrait.masks.levels):
        results |= {f"mask.{kind}.{level}": row for kind, row in zip(("full", "face", "lip"), rows, strict=True)}
    saved = min(tokens.frames, len(results["frames"]))
    results["num_saved_frames"] = np.array([saved])
    raw = results["frames"][saved - 1] * 2 - 1
    results["last_saved_frame_u8"] = to_uint8(raw.astype(np.float32))
    check(case, results, chain_tolerance(case, len(results["pictures"])))
