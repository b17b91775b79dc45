"""The tile: its waves, and that it stays what it is."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from hp_trt.provenance.code import encode
from hp_trt.provenance.tile import frequencies, magnification, owners, phases, tile


def test_the_waves_never_change_since_marks_are_out_there():
    phase = np.rint(np.angle(phases()) * 1e6).astype("<i8")
    kept = hashlib.sha256(frequencies().astype("<i8").tobytes() + owners().astype("<i8").tobytes() + phase.tobytes())
    assert kept.hexdigest() == "6d063d9e5aef78ad0253705b4d6299b361d1e9bef3851a248f95626f8e9604fc"


@pytest.mark.parametrize("magnified", [1, 2, 4])
def test_a_tile_is_of_waves_of_8_to_32_px_and_of_deviation_1(magnified):
    square = tile(0xDEADBEEF, magnified=magnified)
    assert square.shape == (128 * magnified,) * 2
    assert square.dtype == np.float32
    assert square.mean() == pytest.approx(0, abs=1e-6)
    assert square.std() == pytest.approx(1, abs=1e-5)
    spectrum = np.abs(np.fft.fft2(square))
    periods = np.fft.fftfreq(len(square), 1 / len(square))
    radius = np.hypot(*np.meshgrid(periods, periods, indexing="ij"))
    loud = spectrum > spectrum.max() / 2
    assert loud.sum() == 2 * 384
    assert radius[loud].min() >= 4
    assert radius[loud].max() <= 16.5
    assert spectrum[~loud].max() < spectrum.max() / 1000


def test_tiles_of_two_payloads_agree_as_far_as_their_words_do():
    for other in (0, 5, 2**32 - 1):
        agreement = (encode(5).astype(int) @ encode(other)) / 128
        assert (tile(5) * tile(other)).mean() == pytest.approx(agreement, abs=1e-5)


def test_every_sign_turns_one_wave_of_each_third():
    for third in owners().reshape(3, -1):
        assert sorted(third) == list(range(128))


@pytest.mark.parametrize(("size", "times"), [((1, 9000), 1), ((767, 800), 1), ((1080, 1920), 2), ((2160, 3840), 4)])
def test_larger_frames_have_larger_tiles(size, times):
    assert magnification(*size) == times
    assert magnification(*size[::-1]) == times
