"""Landmarks, profiles and words as nobody should give them: a result, or our own error."""

from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import InputError
from hp_trt.config import one_of
from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.hunyuanportrait.profiles import find_profile, roles, sampling_of
from hp_trt.interface.arguments import check_value
from hp_trt.measure.evaluation.config import parse_seeds
from hp_trt.measure.planning.gpus import find_card
from hp_trt.streams.sources import is_url, without_password
from runtime.hunyuanportrait.sampling import Sampling
from tests.hostile import damaged, fuzz, refused_or_right, spoiled, values

IMAGE = np.zeros((96, 128, 3), np.uint8)
FACE = {"box": [30, 20, 50, 60], "landmarks": [[40, 40], [70, 40], [55, 55], [45, 68], [66, 68]], "score": 0.5}
LANDMARKS = {
    "format": "hp-trt-landmarks",
    "version": 1,
    "width": 128,
    "height": 96,
    "frames": [[FACE], [], [FACE, FACE]],
}
PROFILE = {
    "a": {
        "about": "text",
        "base": "live",
        "mode": "live",
        "denoiser": "full",
        "decoder": "tiny",
        "quantize": "none",
        "deep_every": 1,
        "steps": 2,
        "schedule": "ays",
        "skip_last": 0,
        "guidance_appearance": [1.0, 2.0],
        "guidance_interval": [0.5, 50.0],
        "window": 8,
        "overlap": 1,
        "lead_in": 2,
    },
    "b": {"base": "a", "steps": 3},
}


def as_toml(value) -> str:
    """What of JSON is TOML; null is not, and is written as it is."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


@fuzz(200)
@given(content=st.one_of(spoiled(LANDMARKS).map(json.dumps), st.text()))
def test_landmarks_make_a_crop_or_are_refused(tmp_path, content):
    file = tmp_path / "faces.json"
    file.write_text(content, encoding="utf-8", errors="replace")
    with refused_or_right():
        locator = LandmarksFile.read(file)
        crop = portrait_crop(IMAGE, locator, crop_px=64, appearance_px=28)
        assert crop.crop.shape == (64, 64, 3)


@fuzz(100)
@given(content=damaged(json.dumps(LANDMARKS).encode()))
def test_landmarks_of_other_bytes_are_read_or_refused(tmp_path, content):
    (tmp_path / "faces.json").write_bytes(content)
    with refused_or_right():
        LandmarksFile.read(tmp_path / "faces.json")


@fuzz(200)
@given(tables=spoiled(PROFILE, most=3))
def test_a_file_of_profiles_gives_one_or_is_refused(tmp_path, tables):
    file = tmp_path / "mine.toml"
    lines = [f"{json.dumps(str(name), ensure_ascii=False)} = {as_toml(table)}" for name, table in tables.items()]
    file.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    for name in ("a", "b"):
        with refused_or_right():
            profile = find_profile(f"{file}:{name}")
            assert roles(profile) and isinstance(sampling_of({}, profile), Sampling)


@fuzz(100)
@given(content=st.one_of(st.binary(max_size=200), damaged(b'[a]\nbase = "live"\nsteps = 2\n[b]\nbase = "a"\n')))
def test_profiles_of_other_bytes_are_read_or_refused(tmp_path, content):
    (tmp_path / "mine.toml").write_bytes(content)
    with refused_or_right():
        find_profile(tmp_path / "mine.toml")


@fuzz(200)
@given(options=st.dictionaries(st.sampled_from([*Sampling.__dataclass_fields__, "stepz"]), values(), max_size=3))
def test_sampling_options_can_be_computed_with_or_are_refused(options):
    with refused_or_right():
        sampling = Sampling.from_manifest({}, **options)
        assert np.isfinite(sampling.sigmas()).all() and len(sampling.guidance()) == sampling.executed_steps


WORDS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ("0:0", "1:2:3", "-1:3", "0:" + "9" * 18, "٣:٤", "1" * 40 + ":" + "2" * 40, "camera:-1", "camera:" + "9" * 99)
    ),
    st.sampled_from(
        ("http://", "rtsp://a:b@c/d", "file:///etc/passwd", "a.toml:b", ".toml:", ":", "H 200", "RTX" * 999)
    ),
)


@fuzz(300)
@given(word=WORDS)
def test_a_word_of_a_command_is_understood_or_refused(word):
    for read in (parse_seeds, find_card, find_profile, lambda text: one_of("choice", text, ("a", "b"))):
        with refused_or_right():
            read(word)
    with refused_or_right():
        check_value("--x", word)
    assert isinstance(is_url(word), bool) and isinstance(without_password(word), str)


@fuzz(200)
@given(value=values())
def test_a_schedule_that_is_none_is_refused(value):
    try:
        made = Sampling(schedule=value)
    except InputError:
        return
    assert made.schedule in ("karras", "ays", "exponential")
