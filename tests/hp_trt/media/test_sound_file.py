"""What is opened as sound, and what is told of what is none."""

from __future__ import annotations

import os

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.media.sound_file import ADVICE, check_sound, open_sound, sound_stream
from tests.hp_trt.clips import make_clip
from tests.hp_trt.hallo2.sounds import tone, write_sound


def test_files_of_sound_and_videos_with_sound_are_opened(tmp_path):
    for path in (write_sound(tmp_path / "s.wav", tone(0.1), 44_100), make_clip(tmp_path / "v.mp4", 3, audio="aac")):
        check_sound(path)
        with open_sound(path) as container:
            assert sound_stream(container, path).rate == 44_100


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.mkdir(), "is not a file"),
        (lambda p: os.mkfifo(p), "is not a file"),  # nobody will ever write into it
        (lambda p: p.write_text("hello " * 50), "is no sound that FFmpeg can open"),
        (lambda p: p.write_bytes(np.random.default_rng(0).bytes(5000)), "is no sound that FFmpeg can open"),
        (lambda p: make_clip(p, 3), "has no sound"),
    ],
    ids="nothing folder pipe text noise silent-video".split(),
)
def test_what_has_no_sound_is_told_in_words_of_sound(tmp_path, make, says):
    make(tmp_path / "s.mp4")
    with pytest.raises(InputError) as error:
        check_sound(tmp_path / "s.mp4")
    assert f"{tmp_path / 's.mp4'}" in str(error.value) and says in str(error.value)
    assert str(error.value).endswith(ADVICE)
