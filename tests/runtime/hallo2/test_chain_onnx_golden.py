"""The chain on exported graphs, from speech features to frames, against the golden chains of the released program."""

from __future__ import annotations

import numpy as np

from engines.backend import Buffer
from tests.golden_cases import HALLO2_FOLDER, HALLO2_SHIPPED, chain_tolerance, check, discover, golden_cases, load_case
from tests.runtime.hallo2.golden_chain import GoldenChain, same_graphs


def test_the_shipped_folder_has_golden_chains():
    assert discover(kind="chain", folder=HALLO2_SHIPPED)


def tokens_of_clips(golden: GoldenChain) -> list[Buffer]:
    """Windows of the whole track's features, its first and last frame repeated outside (SPEC 7), F frames a clip."""
    case, frames = golden.case, golden.frames
    features, width = case.inputs["audio_features"], case.config["audio_tokens"]["window"]
    at = np.arange(len(features))[:, None] + np.arange(width) - width // 2
    windows = features[np.clip(at, 0, len(features) - 1)]
    clips = [windows[i : i + frames] for i in range(0, len(windows) - frames + 1, frames)]
    session = golden.sessions["audio_tokens"]
    return [session.run({"windows": golden.backend.upload(clip)})["tokens"] for clip in clips]


@golden_cases(kind="chain", folder=HALLO2_FOLDER, group=same_graphs)
def test_the_chain_on_exported_graphs_matches_its_golden_case(case_name, cache, backend):
    case = load_case(case_name, HALLO2_FOLDER)
    golden, inputs = GoldenChain(case, cache, backend), case.inputs
    results = golden.run(
        picture=inputs["source_picture"][None],
        face_region=inputs["face_region"],
        masks=[
            np.stack([inputs[f"mask.{kind}.{level}"] for kind in ("full", "face", "lip")])
            for level in range(len(case.config["denoising_unet"]["channels"]))
        ],
        audio_tokens=tokens_of_clips(golden),
    )
    check(case, results, chain_tolerance(case, len(results["pictures"])))
