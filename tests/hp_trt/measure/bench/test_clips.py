"""What is spoken while measuring: a sound that is the same every time, and somewhat like a voice."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.hallo2.sound import Sound
from hp_trt.measure.bench.clips import shortened_sound, speech_files, voice, write_sound


def test_the_voice_has_as_many_samples_as_its_frames_and_is_the_same_every_time():
    made = voice(50)
    assert (made.shape, made.dtype) == ((50 * 640,), np.float32)
    assert np.abs(made).max() == pytest.approx(0.5)
    assert np.array_equal(made, voice(50))
    assert voice(1).shape == (640,)


def test_the_voice_is_pitched_has_vowels_and_pauses():
    made = voice(50)
    spectrum = np.abs(np.fft.rfft(made[2000:10_000] * np.hanning(8000)))
    hz = np.fft.rfftfreq(8000, 1 / 16_000)
    # Harmonics of about 120 Hz: nothing much between zero and the lowest, which bends by a tenth and a little more.
    assert 100 < hz[spectrum[hz < 170].argmax()] < 140
    assert spectrum[hz > 4600].max() < 1e-2 * spectrum.max()
    # Two vowels a quarter of a second apart are not the same sound: the first formant moves from 270 to 840 Hz.
    quarters = made.reshape(-1, 4000)
    low = [(np.abs(np.fft.rfft(q))[: 400 // 4] ** 2).sum() / (np.abs(np.fft.rfft(q)) ** 2).sum() for q in quarters[:6]]
    assert max(low) > 2 * min(low)
    assert not quarters[6].any()  # every seventh syllable


def test_what_is_not_given_is_made(tmp_path):
    portrait, audio = speech_files(tmp_path, frames=3)
    assert portrait.is_file()
    heard = np.concatenate(list(Sound(audio)))
    assert heard == pytest.approx(voice(3), abs=1 / 65000)  # 16 bits
    mine = tmp_path / "mine.png"
    assert speech_files(tmp_path, portrait=mine, audio=audio) == (mine, audio)


def test_a_sound_is_shortened_to_frames_and_a_short_one_stays_as_it_is(tmp_path):
    write_sound(tmp_path / "long.wav", voice(10))
    for frames, samples in ((4, 4 * 640), (20, 10 * 640)):
        out = shortened_sound(tmp_path / "long.wav", tmp_path / f"{frames}.wav", frames)
        heard = np.concatenate(list(Sound(out)))
        assert len(heard) == samples and heard == pytest.approx(voice(10)[:samples], abs=1 / 65000)


def test_what_is_no_sound_is_told(tmp_path):
    (tmp_path / "none.wav").write_bytes(b"no sound")
    with pytest.raises(InputError):
        speech_files(tmp_path, audio=tmp_path / "none.wav", frames=3)
