"""The timing cache's file: what comes back, and what is refused before TensorRT sees it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from engines import families
from engines.errors import BundleError, OutputError
from export.plans.timing_cache import load_timing_cache, read_timing_cache, save_timing_cache

TRT = SimpleNamespace(__version__="11.4.0.106")


class Cache:
    def __init__(self, blob: bytes) -> None:
        self.blob = blob

    def serialize(self) -> bytes:
        return self.blob


class Config:
    """A builder's configuration that keeps the cache it is given."""

    def create_timing_cache(self, blob: bytes) -> Cache:
        return Cache(blob)

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
        self.cache, self.ignored = cache, ignore_mismatch
        return True


def save(path, blob=b"timings\n and more", family=families.TENSORRT, trt=TRT) -> None:
    save_timing_cache(family, trt, Cache(blob), path)


def load(path, family=families.TENSORRT, trt=TRT) -> Config:
    config = Config()
    load_timing_cache(family, trt, config, path)
    return config


def test_what_was_saved_comes_back_and_no_other_file_is_left(tmp_path):
    save(tmp_path / "timing.cache")
    config = load(tmp_path / "timing.cache")
    assert config.cache.blob == b"timings\n and more" and config.ignored is False
    assert [p.name for p in tmp_path.iterdir()] == ["timing.cache"]


def test_without_a_file_the_cache_begins_empty(tmp_path):
    assert load(tmp_path / "timing.cache").cache.blob == b""


def test_tensorrt_for_rtx_has_none(tmp_path):
    path = tmp_path / "timing.cache"
    path.write_bytes(b"whatever is there is not looked at")
    assert load_timing_cache(families.RTX, TRT, None, path) is None
    save_timing_cache(families.RTX, TRT, None, path)
    assert path.read_bytes() == b"whatever is there is not looked at"


def test_a_folder_in_its_place_says_what_to_do(tmp_path):
    (tmp_path / "timing.cache").mkdir()
    with pytest.raises(
        BundleError, match=r"timing\.cache should be a timing cache and is a folder; delete it, it only"
    ):
        load(tmp_path / "timing.cache")


@pytest.mark.parametrize("content", [b"", b"\n", b"[1]\nblob", b'{"magic": "other"}\nblob', b"\xff" * 5000, b"{" * 500])
def test_a_foreign_file_is_refused(tmp_path, content):
    (tmp_path / "timing.cache").write_bytes(content)
    with pytest.raises(
        BundleError, match=r"timing\.cache is not a timing cache .it does not begin as one.; delete it, it only saves"
    ):
        load(tmp_path / "timing.cache")


def test_one_of_another_version_or_family_is_refused(tmp_path):
    path = tmp_path / "timing.cache"
    save(path, trt=SimpleNamespace(__version__="10.16.1"))
    with pytest.raises(
        BundleError, match=r"is a timing cache of tensorrt 10\.16\.1, this is tensorrt 11\.4\.0\.106; delete"
    ):
        load(path)
    with pytest.raises(BundleError, match=r"tensorrt 10\.16\.1, this is other 10\.16\.1; delete"):
        read_timing_cache(SimpleNamespace(name="other"), "10.16.1", path)


@pytest.mark.parametrize("change", [lambda c: c[:-3], lambda c: c + b"x", lambda c: c[:-1] + b"!"])
def test_a_cut_or_altered_one_never_reaches_tensorrt(tmp_path, change):
    path = tmp_path / "timing.cache"
    save(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BundleError, match=r"timing\.cache is not a timing cache .it is cut off or altered.; delete it"):
        load(path)


def test_a_place_that_cannot_be_written_keeps_the_old_one(tmp_path):
    (tmp_path / "timing.cache").mkdir()
    with pytest.raises(OutputError, match=r"timing\.cache is a folder"):
        save(tmp_path / "timing.cache")
    assert [p.name for p in tmp_path.iterdir()] == ["timing.cache"]
