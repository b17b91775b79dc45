"""Each way in which the library can be missing is told: what was found, what was needed, what to do."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from engines.errors import InputError
from engines.gpu import Gpu, NoGpu, find_gpu
from hp_trt.media import nvcodec
from tests.hp_trt.media.nvcodec_stand_in import stand_in

NOTHING = NoGpu(found="no usable device", fix="install the NVIDIA driver on a machine with an NVIDIA GPU")


def refused(**asked: str) -> str:
    with pytest.raises(InputError) as told:
        nvcodec.require(**{"decoder": "cpu", "encoder": "cpu", "index": 0, **asked})
    return str(told.value)


def test_nothing_is_looked_at_where_nobody_asks(monkeypatch):
    monkeypatch.setattr(nvcodec, "Coders", None)
    nvcodec.require(decoder="cpu", encoder="cpu", index=0)


def test_without_the_library_it_says_which_extra_has_it(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == nvcodec.MODULE else real(name))
    assert refused(decoder="nvdec") == (
        "NVDEC needs PyNvVideoCodec, which is not installed; pip install '.[nvcodec]' in a checkout of hp-trt, or "
        "leave --decoder nvdec out"
    )


def test_another_version_is_refused_before_it_is_loaded(monkeypatch):
    stand_in(monkeypatch, version="2.0.1")
    monkeypatch.setitem(sys.modules, nvcodec.MODULE, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert refused(encoder="nvenc") == (
        "NVENC needs PyNvVideoCodec 2.2.4, found 2.0.1; pip install '.[nvcodec]' in a checkout of hp-trt, or leave "
        "--encoder nvenc out"
    )


def test_without_a_gpu_it_says_what_was_found(monkeypatch):
    stand_in(monkeypatch, gpu=NOTHING)
    for asked, option in (({"decoder": "nvdec"}, "--decoder nvdec"), ({"encoder": "nvenc"}, "--encoder nvenc")):
        assert refused(**asked) == (
            f"{option[-5:].upper()} needs an NVIDIA GPU, found: no usable device; install the NVIDIA driver on a "
            f"machine with an NVIDIA GPU, or leave {option} out"
        )


@pytest.mark.parametrize("lacking", ["libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1"])
def test_a_container_without_the_drivers_video_libraries_is_told_how_to_be_started(lacking, monkeypatch):
    stand_in(monkeypatch)
    monkeypatch.setattr(nvcodec, "unloadable", lambda name: "no such file" if name == lacking else "")
    found = refused(decoder="nvdec")
    assert found.startswith(f"NVDEC needs {lacking} of the NVIDIA driver, which does not load (no such file); ")
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video" in found


def test_a_library_of_the_driver_that_is_not_here_does_not_load():
    assert "cannot open shared object file" in nvcodec.unloadable("libno-such-library-of-anybody.so.1")
    assert nvcodec.unloadable("libc.so.6") == ""


def test_an_import_that_fails_is_told_in_its_first_words(monkeypatch):
    stand_in(monkeypatch)

    def fail(name):
        raise RuntimeError("Driver version is too old\n\n=== TROUBLESHOOTING STEPS ===")

    monkeypatch.setattr(nvcodec.importlib, "import_module", fail)
    assert refused(decoder="nvdec") == (
        "NVDEC: PyNvVideoCodec 2.2.4 does not load (Driver version is too old); update the NVIDIA driver, or leave "
        "--decoder nvdec out"
    )


def test_a_gpu_that_decodes_neither_is_refused(monkeypatch):
    library = stand_in(monkeypatch)
    nvcodec.require(decoder="nvdec", encoder="nvenc", index=0)
    library.decoder_caps["supported"] = 0
    assert refused(decoder="nvdec").startswith("NVDEC of NVIDIA L4 decodes neither h264 nor hevc")


@pytest.mark.skipif(importlib.util.find_spec(nvcodec.MODULE) is None, reason="PyNvVideoCodec is not installed")
@pytest.mark.skipif(isinstance(find_gpu(), Gpu), reason="there is a GPU")
def test_the_real_library_without_a_gpu_is_refused_in_words_and_not_loaded():
    """It would end the process."""
    assert "NVDEC needs an NVIDIA GPU, found: " in refused(decoder="nvdec")
    assert nvcodec.MODULE not in sys.modules
