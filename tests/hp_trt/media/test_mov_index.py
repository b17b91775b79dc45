from __future__ import annotations

import struct

import pytest

from engines.errors import InputError
from tests.hp_trt.awkward_clips import MODES, patch
from tests.hp_trt.clips import make_clip


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize("samples", [5 * 10**6, 10**9, 2**32 - 1])
def test_an_index_of_more_samples_than_the_file_has_bytes_is_refused_before_ffmpeg_makes_its_table(
    tmp_path, read, samples
):
    path = make_clip(tmp_path / "a.mp4", 3)
    patch(path, b"stsz", 4, struct.pack(">2I", 1, samples))
    patch(path, b"stts", 8, struct.pack(">I", samples))
    patch(path, b"stsc", 12, struct.pack(">I", samples))
    with pytest.raises(InputError, match=f"its index promises {samples} samples, its file has [0-9]+ bytes; convert"):
        read(path)


@pytest.mark.parametrize("read", MODES)
def test_a_fragment_of_more_samples_than_the_file_has_bytes_is_refused(tmp_path, read):
    path = make_clip(tmp_path / "a.mp4", 30, options={"movflags": "frag_keyframe+empty_moov"})
    assert len(read(path)[0]) == 30
    with pytest.raises(InputError, match="its index promises"):
        read(patch(path, b"trun", 0, struct.pack(">2I", 0, 10**9)))


@pytest.mark.parametrize("read", MODES)
def test_an_index_that_is_compressed_is_refused(tmp_path, read):
    path = make_clip(tmp_path / "a.mp4", 3)
    path.write_bytes(path.read_bytes().replace(b"udta", b"cmvd"))
    with pytest.raises(InputError, match="has a compressed index, as old QuickTime wrote it; convert it first"):
        read(path)


@pytest.mark.parametrize("read", MODES)
def test_raw_sound_has_a_sample_in_two_bytes_and_is_read(tmp_path, read):
    path = make_clip(tmp_path / "a.mov", 50, audio="pcm_s16le")
    images, notes = read(path)
    assert len(images) == 50 and notes == []
