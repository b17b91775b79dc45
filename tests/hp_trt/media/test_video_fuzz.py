"""Videos with bytes that nobody wrote: frames come, in clip and live mode, or our own error."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import InputError
from tests.fuzz import examples
from tests.hp_trt.awkward_clips import MODES
from tests.hp_trt.clips import make_clip

NAMES = ["a.mp4", "front.mp4", "pieces.mp4", "a.mkv", "a.avi", "a.ts", "a.mov"]
_OPTIONS = {"front.mp4": {"movflags": "faststart"}, "pieces.mp4": {"movflags": "frag_keyframe+empty_moov"}}


@cache
def whole(name: str) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        codec = "mpeg4" if name == "a.avi" else "libx264"
        sound = {"a.mp4": "aac", "a.mkv": "aac", "a.ts": "aac", "a.mov": "pcm_s16le"}.get(name)
        return make_clip(path, 10, codec=codec, audio=sound, options=_OPTIONS.get(name)).read_bytes()


PLACES = st.one_of(st.integers(0, 1000), st.integers(-1500, -1), st.integers(0, 10**6))
CHANGES = st.lists(st.tuples(PLACES, st.integers(0, 255)), min_size=1, max_size=12)


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize("name", NAMES)
@settings(
    max_examples=examples(25),
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=CHANGES, kept=st.one_of(st.just(1.0), st.floats(0, 1)))
def test_a_video_with_strange_bytes_gives_frames_or_our_own_error(tmp_path, read, name, changes, kept):
    data = bytearray(whole(name))
    for place, value in changes:
        data[place % len(data)] = value
    path = tmp_path / name
    path.write_bytes(data[: round(len(data) * kept)])
    try:
        images, told = read(path)
    except InputError as error:
        images, told = [], [str(error)]
    assert not any("\n" in line for line in told)
    assert all(image.dtype == np.uint8 and image.shape[2:] == (3,) for image in images)
