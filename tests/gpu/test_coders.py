"""The check of NVDEC and NVENC with the stand-in: it finds nothing wrong with our code, and finds what is."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from engines.gpu import NoGpu
from tests.gpu.examples import told
from tests.gpu.part_coders import CodersPart, tell_coders
from tests.hp_trt.media.nvcodec_stand_in import PyNvDecoder, stand_in


@pytest.fixture
def library(monkeypatch):
    return stand_in(monkeypatch)


def test_every_line_of_the_part_keeps_its_limit_with_the_stand_in(lines):
    tell_coders(lines, "cpu")
    found = told(lines)
    assert [(line.name, line.text) for line in found if line.status != "ok"] == []
    facts = {line.name: line.facts for line in found}
    assert facts["NVDEC against the CPU"]["most_levels"] == 0
    assert facts["NVENC against libx264, exact"]["psnr_db"] > 40
    assert facts["NVENC against libx264, quick"]["frames_per_s"] > 0


def told_of(lines, folder):
    lines.run_all("coders", CodersPart(folder, 4).steps())
    return {line.name: line for line in told(lines)}


def test_a_card_without_an_encoder_is_a_fact_and_no_failure(library, lines, tmp_path):
    """As H100 and H200 are: what the library says of it is the line."""
    library.no_encoder = "PyNvEncoderCaps : no capable devices"
    found = told_of(lines, tmp_path)
    assert found["NVDEC against the CPU"].status == "ok"
    for name in ("NVENC, what it has", "NVENC against libx264, exact", "NVENC against libx264, quick"):
        assert found[name].status == "not run"
        assert found[name].text.startswith(
            "NVIDIA L4 has no NVENC that opens (PyNvEncoderCaps : no capable devices); take a GPU that has it"
        )


def test_without_a_gpu_every_line_says_what_was_found(lines, tmp_path, monkeypatch):
    stand_in(monkeypatch, gpu=NoGpu(found="no usable device", fix="install the NVIDIA driver"))
    found = told_of(lines, tmp_path)
    assert {line.status for line in found.values()} == {"not run"}
    assert all("needs an NVIDIA GPU, found: no usable device" in line.text for line in found.values())


def test_a_machine_without_pyav_says_so(library, lines, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    found = told_of(lines, tmp_path)
    assert found["NVDEC, what it has"].status == "ok"
    assert (found["a drawn clip"].status, found["a drawn clip"].text) == ("not run", "av is not installed")


def test_frames_that_differ_miss_the_limit(library, lines, tmp_path, monkeypatch):
    real = PyNvDecoder.Decode

    def off_by_a_level(self, packet):
        frames = real(self, packet)
        for frame in frames[: self.later]:
            np.add(frame._memory, 1, out=frame._memory, where=frame._memory < 255)
        self.later = None if frames else self.later
        return frames

    monkeypatch.setattr(PyNvDecoder, "later", 0, raising=False)  # the first picture is looked at by the reader
    monkeypatch.setattr(PyNvDecoder, "Decode", off_by_a_level)
    line = told_of(lines, tmp_path)["NVDEC against the CPU"]
    assert line.status == "missed" and line.text.endswith("needs at most 0 levels")


@pytest.mark.gpu
def test_every_line_of_the_part_keeps_its_limit_on_a_real_device(lines):
    tell_coders(lines, "cuda")
    assert [(line.name, line.text) for line in told(lines) if line.status in ("missed", "failed")] == []
