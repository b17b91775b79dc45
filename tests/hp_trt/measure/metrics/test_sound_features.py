"""Sounds of which it is known what is heard, and coefficients that another program made."""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.measure.metrics.sound_features import BANDS, log_mel, mfcc

# python_speech_features 0.6, mfcc(samples, 16000), of `CHIRP`: rows 0, 7 and 18, the last of which is half silence.
PUBLISHED = {
    0: "19.854 1.62 7.161 38.435 -25.962 -16.079 18.201 -45.612 -27.195 0.141 -47.58 -18.345 0.361",
    7: "20.086 15.716 -10.231 40.116 -39.832 -27.424 2.171 -50.424 -23.661 15.522 -25.864 12.658 28.684",
    18: "20.474 10.908 -11.176 11.471 -52.946 -36.938 18.216 -19.656 17.321 46.146 -12.998 0.232 1.523",
}
T = np.arange(3300) / 16000
CHIRP = np.round(32768 * (0.3 * np.sin(2 * np.pi * (200 * T + 900 * T * T)) + 0.05 * np.sin(2 * np.pi * 3100 * T)))


def test_coefficients_are_those_of_the_published_program():
    found = mfcc((CHIRP / 32768).astype(np.float32))
    assert found.shape == (20, 13)
    for row, numbers in PUBLISHED.items():
        np.testing.assert_allclose(found[row], [float(number) for number in numbers.split()], atol=1e-3)


@pytest.mark.parametrize(("samples", "rows"), [(1, 1), (400, 1), (401, 2), (640 * 25, 99)])
def test_coefficients_have_a_row_for_every_ten_milliseconds(samples, rows):
    assert mfcc(np.zeros(samples, np.float32)).shape == (rows, 13)


@pytest.mark.parametrize("frames", [1, 25, 100])
def test_mel_bands_have_four_rows_a_frame(frames):
    assert log_mel(np.zeros(640 * frames, np.float32)).shape == (4 * frames, BANDS)


def test_a_tone_is_heard_in_its_band_and_when_it_sounds():
    samples = np.zeros(16000, np.float32)
    samples[8000:] = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 16000)
    found = log_mel(samples)
    mels = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), BANDS + 2)[1:-1]
    expected = int(np.abs(700 * (10 ** (mels / 2595) - 1) - 1000).argmin())
    assert abs(int(found[75].argmax()) - expected) <= 1
    loud = found.max(axis=1) > -0.5
    assert not loud[:49].any() and loud[51:].all()


def test_a_recording_ten_times_as_quiet_is_20_db_below_in_every_band():
    noise = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.3
    difference = log_mel(noise)[5:-5] - log_mel(noise / 10)[5:-5]
    np.testing.assert_allclose(np.median(difference, axis=0), 2 / 2.5, atol=0.03)


def test_silence_is_a_number():
    assert np.isfinite(log_mel(np.zeros(640, np.float32))).all() and np.isfinite(mfcc(np.zeros(640, np.float32))).all()
