"""What a build asks of this model, and what it refuses in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import InputError
from export.hallo2.model import Hallo2
from export.hallo2.presets import HALLO2, TALK_POCKET

MODEL = Hallo2(preset=TALK_POCKET)
USUAL = {"size": 128, "frames": 8, "half": False}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"live": ()}, "no graphs for --live: it is driven by sound"),
        ({"reuse": True}, "no graphs for --reuse"),
        ({"quantize": ("int8",)}, "no graphs for --quantize"),
        ({"live": (), "reuse": True}, "--live and --reuse: .* leave them out"),
    ],
)
def test_what_it_has_no_graphs_for_is_refused(asked, says):
    with pytest.raises(InputError, match=says):
        MODEL.graphs(**USUAL, **asked)


def test_weights_of_live_mode_are_refused():
    with pytest.raises(InputError, match=r"preset talk_pocket has no live mode, and my\.safetensors is for one"):
        MODEL.open_weights(None, Path("my.safetensors"))


def test_a_bundle_says_how_the_released_program_samples_and_what_it_is_made_for():
    assert Hallo2(preset=HALLO2).sampling(16) == {
        "scaling_factor": 0.18215,
        "steps": 40,
        "guidance": 3.5,
        "motion_weights": [1.0, 1.0, 1.0],
        "mask_rate": 0.25,
        "seed": 42,
    }
    assert MODEL.geometry(128) == {"crop_px": 128, "motion_frames": 2, "face_ratio": 1.2, "lip_ratio": 2.0}


def test_the_users_files_come_with_the_options_that_take_them(tmp_path):
    for place in ("face_analysis/models/glintr100.onnx", "audio_separator/Kim_Vocal_2.onnx"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_bytes(b"x")
    assert {path.name: option for path, option in MODEL.user_files(tmp_path).items()} == {
        "glintr100.onnx": "--arcface FILE",
        "Kim_Vocal_2.onnx": "--vocals FILE",
    }
