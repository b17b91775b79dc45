"""Speech out of files and arrays: against the samples that were written, sines, and numpy's averages."""

from __future__ import annotations

import struct
import tracemalloc

import av
import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.hallo2.sound import Sound
from hp_trt.hallo2.vocals import Separator
from hp_trt.media.video import VideoReader
from tests.hp_trt.hallo2.sounds import tone, write_sound
from tests.hp_trt.sounding import clip_with_click

PIECE = 960_000
STEP = 1 / 32768  # of 16 bits


def heard(sound: Sound) -> np.ndarray:
    return np.concatenate(list(sound))


def spectrum_peak(wave: np.ndarray) -> tuple[float, float]:
    """Frequency in Hz and level of the loudest sine in a 16 kHz wave."""
    window = np.hanning(len(wave))
    found = np.abs(np.fft.rfft(wave * window)) / window.sum() * 2
    return found.argmax() * 16_000 / len(wave), float(found.max())


@pytest.mark.parametrize("samples", [1, 2, 639, 16_000, PIECE, PIECE + 1, 2 * PIECE + 12_345])
def test_a_16_bit_file_at_16_khz_comes_as_it_is(tmp_path, samples):
    values = np.random.default_rng(samples).integers(-32768, 32768, samples) / 32768
    sound = Sound(write_sound(tmp_path / "a.wav", values, 16_000))
    pieces = list(sound)
    assert [len(piece) for piece in pieces] == [PIECE] * (samples // PIECE) + [samples % PIECE] * (samples % PIECE > 0)
    assert all(piece.dtype == np.float32 for piece in pieces)
    np.testing.assert_array_equal(np.concatenate(pieces), values.astype(np.float32))
    assert sound.duration_s == pytest.approx(samples / 16_000, abs=1e-5)
    assert (sound.start_s, sound.notes) == (0, [])


@pytest.mark.parametrize("rate", [6000, 8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_a_tone_keeps_its_pitch_level_and_place_at_any_rate(tmp_path, rate):
    sound = heard(Sound(write_sound(tmp_path / "a.wav", tone(2, rate=rate), rate)))
    assert len(sound) == 32_000
    inner = slice(400, -400)  # the resampler's own ends
    np.testing.assert_allclose(sound[inner], tone(2, rate=16_000)[inner], atol=2.5 * STEP)


@pytest.mark.parametrize(("rate", "samples"), [(44_100, 1), (8000, 1), (192_000, 5), (11_025, 7), (48_000, 100_001)])
def test_lengths_are_rounded_up_however_short(rate, samples):
    sound = heard(Sound.of_array(np.full(samples, 0.25), rate))
    assert len(sound) == -(-samples * 16_000 // rate)


def test_what_16_khz_cannot_hold_is_filtered_out(tmp_path):
    sound = heard(Sound(write_sound(tmp_path / "a.wav", tone(1, hz=11_000, rate=48_000), 48_000)))
    assert np.abs(sound[400:-400]).max() < 0.5e-3  # 60 dB below 0.5; folded back it would be 5 kHz


FORMS = {
    "8 bits": ("a.wav", "pcm_u8", "u8", 1 / 128),
    "24 bits": ("a.wav", "pcm_s24le", "s32", STEP),
    "32 bits": ("a.wav", "pcm_s32le", "s32", STEP),
    "floats": ("a.wav", "pcm_f32le", "flt", STEP),
    "doubles": ("a.wav", "pcm_f64le", "dbl", STEP),
    "flac": ("a.flac", "flac", "s16", STEP),
    "flac 24 bits": ("a.flac", "flac", "s32", STEP),
    "alac": ("a.m4a", "alac", "s16p", STEP),
    "aiff": ("a.aiff", "pcm_s16be", "s16", STEP),
    "caf": ("a.caf", "pcm_s16be", "s16", STEP),
    "w64": ("a.w64", "pcm_s16le", "s16", STEP),
    "au": ("a.au", "pcm_s16be", "s16", STEP),
    "mka": ("a.mka", "pcm_s16le", "s16", STEP),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_exact_form_gives_the_samples_that_were_written(tmp_path, name):
    file, codec, form, off = FORMS[name]
    wave = np.stack([tone(0.7, rate=16_000), tone(0.7, hz=700, rate=16_000, level=0.2)])
    sound = heard(Sound(write_sound(tmp_path / file, wave, 16_000, codec=codec, form=form)))
    np.testing.assert_allclose(sound, wave.mean(0), atol=off)


@pytest.mark.parametrize(
    ("file", "codec", "form", "rate"),
    [
        ("a.mp3", "libmp3lame", "s16p", 44_100),
        ("a.m4a", "aac", "fltp", 44_100),
        ("a.m4a", "aac", "fltp", 16_000),
        ("a.aac", "aac", "fltp", 48_000),
        ("a.ogg", "libopus", "s16", 48_000),
        ("a.mka", "ac3", "fltp", 48_000),
        ("a.ts", "mp2", "s16", 48_000),
    ],
)
def test_coders_that_lose_a_little_keep_pitch_level_and_length(tmp_path, file, codec, form, rate):
    sound = Sound(write_sound(tmp_path / file, tone(2, rate=rate), rate, codec=codec, form=form))
    wave = heard(sound)
    assert 32_000 <= len(wave) <= 32_000 + 16_000 * 2200 / rate  # coders fill their last block, and some their first
    pitch, level = spectrum_peak(wave[4000:28_000])
    assert abs(pitch - 440) < 1
    assert abs(level - 0.5) < 0.03  # LAME takes 5 % off
    assert sound.notes == []
    assert float(sound.duration_s) == pytest.approx(2, abs=2200 / rate)


@pytest.mark.parametrize(
    ("layout", "channels"), [("mono", 1), ("stereo", 2), ("5.1", 6), ("7.1", 8), ("3 channels", 3), ("9 channels", 9)]
)
def test_channels_are_averaged_with_the_same_weight_known_or_not(tmp_path, layout, channels):
    wave = np.random.default_rng(channels).uniform(-0.5, 0.5, (channels, 5000))
    path = write_sound(tmp_path / "a.mkv", wave, 16_000, layout=layout)
    np.testing.assert_allclose(heard(Sound(path)), wave.mean(0), atol=STEP)


def test_what_is_louder_than_16_bits_is_clipped_and_what_is_no_number_is_silent(tmp_path):
    wave = tone(0.1, rate=16_000, level=1.5)
    wave[100:110] = np.nan
    sound = Sound(write_sound(tmp_path / "a.wav", wave, 16_000, codec="pcm_f32le", form="flt"))
    expected = np.clip(np.nan_to_num(wave), -1, 1 - STEP)
    np.testing.assert_allclose(heard(sound), expected, atol=STEP)
    assert sound.notes == [f"the sound of {tmp_path / 'a.wav'} has samples that are no numbers: they are silent"]


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "ts"])
@pytest.mark.parametrize(("pictures_s", "sound_s", "click_s"), [(0, 0, 1), (0, 0.7, 1.2), (0.6, 0, 1), (0.5, 0.2, 1.1)])
def test_a_videos_sound_is_in_step_with_its_first_picture(tmp_path, container, pictures_s, sound_s, click_s):
    codec = "mp2" if container == "ts" else "aac"
    path = clip_with_click(
        tmp_path / f"a.{container}", codec=codec, pictures_s=pictures_s, sound_s=sound_s, click_s=click_s
    )
    wave = heard(Sound(path))
    loud = np.flatnonzero(np.abs(wave) > 0.1) / 16_000
    assert loud[0] == pytest.approx(click_s - pictures_s, abs=0.03)  # a frame is 0.04 s
    assert Sound(path).start_s == next(iter(VideoReader(path).timed())).time_s
    late_s = sound_s - pictures_s
    assert len(wave) / 16_000 == pytest.approx(2 + late_s, abs=0.06)
    if late_s > 0.05:
        assert not wave[: round((late_s - 0.05) * 16_000)].any()


def test_a_file_of_sound_alone_that_begins_late_begins_with_silence(tmp_path):
    sound = Sound(write_sound(tmp_path / "a.mka", tone(1), 44_100, start_s=1.5))
    wave = heard(sound)
    assert len(wave) == 40_000
    assert not wave[:24_000].any()
    np.testing.assert_allclose(wave[24_400:39_600], tone(1, rate=16_000)[400:-400], atol=2.5 * STEP)
    assert sound.duration_s == pytest.approx(2.5, abs=0.001)
    assert sound.notes == []


def test_gaps_are_silence_and_what_follows_keeps_its_time(tmp_path):
    wave = tone(3, rate=16_000)
    sound = heard(Sound(write_sound(tmp_path / "a.mka", wave, 16_000, holes=((1, 2),))))
    assert len(sound) == len(wave)
    silent = np.flatnonzero(np.convolve(sound == 0, np.ones(100), "same") > 99)
    assert silent[0] / 16_000 == pytest.approx(1, abs=0.08)  # packets of 64 ms
    assert silent[-1] / 16_000 == pytest.approx(2, abs=0.08)
    np.testing.assert_allclose(sound[: silent[0] - 64], wave[: silent[0] - 64], atol=STEP)
    np.testing.assert_allclose(sound[silent[-1] + 64 :], wave[silent[-1] + 64 :], atol=STEP)


def test_a_long_pause_is_made_of_silence_without_holding_it(tmp_path):
    path = write_sound(tmp_path / "a.mka", tone(4000, rate=1000), 1000, holes=((2, 3998),))
    tracemalloc.start()
    total = sum(len(piece) for piece in Sound(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 4000 * 16_000
    assert peak < 40e6  # of 256 MB


def test_a_damaged_packet_is_a_moment_of_silence_and_a_note(tmp_path):
    path = write_sound(tmp_path / "a.m4a", tone(2, rate=16_000), 16_000, codec="aac", form="fltp")
    whole = heard(Sound(path))
    with av.open(str(path)) as file:
        packets = [(packet.pos, packet.size) for packet in file.demux(file.streams.audio[0]) if packet.size]
    data = bytearray(path.read_bytes())
    at, size = packets[len(packets) // 2]
    data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    sound = Sound(path)
    hurt = heard(sound)
    assert len(hurt) == len(whole)
    assert sound.notes == [f"the sound of {path} is damaged: 1 packets of it are silent"]
    np.testing.assert_allclose(hurt[-8000:], whole[-8000:], atol=2 * STEP)
    np.testing.assert_allclose(hurt[:8000], whole[:8000], atol=2 * STEP)


@pytest.mark.parametrize(("file", "codec"), [("a.flac", "flac"), ("a.mka", "pcm_s16le")])
def test_a_file_that_is_cut_off_gives_what_it_has_and_says_so(tmp_path, file, codec):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 5 * 16_000)
    path = write_sound(tmp_path / file, noise, 16_000, codec=codec)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    sound = Sound(path)
    assert len(heard(sound)) == pytest.approx(40_000, abs=5000)
    assert len(sound.notes) == 1
    assert sound.notes[0].startswith(f"{path} is damaged or cut off: the 2.")


def test_a_wav_that_was_written_into_a_pipe_does_not_know_its_length(tmp_path):
    path = write_sound(tmp_path / "a.wav", tone(1, rate=16_000), 16_000)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = data[4:8] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(data)
    sound = Sound(path, longest_h=0.01)
    assert len(heard(sound)) == 16_000


def test_of_several_sounds_one_is_taken_and_it_says_which(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        tracks = [output.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(2)]
        for number, track in enumerate(tracks):
            values = np.full((1, 1000), 1000 * (number + 1), np.int16)
            frame = av.AudioFrame.from_ndarray(values, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, 0
            output.mux(track.encode(frame))
    sound = Sound(path)
    assert set(heard(sound)) == {np.float32(1000 / 32768)}
    assert sound.notes == [f"{path} has 2 sound tracks: the first is carried"]


def test_the_same_sound_can_be_walked_again(tmp_path):
    sound = Sound(write_sound(tmp_path / "a.wav", tone(0.5), 44_100))
    np.testing.assert_array_equal(heard(sound), heard(sound))


def test_an_hour_is_a_piece_at_a_time(tmp_path):
    with av.open(str(tmp_path / "a.mka"), "w") as output:  # in packets of a second, because writing is not the point
        track = output.add_stream("pcm_u8", rate=4000, layout="mono")
        for second in range(3600):
            values = np.full((1, 4000), 128 + second % 100, np.uint8)
            frame = av.AudioFrame.from_ndarray(values, format="u8", layout="mono")
            frame.sample_rate, frame.pts = 4000, 4000 * second
            output.mux(track.encode(frame))
    tracemalloc.start()
    lengths = [len(piece) for piece in Sound(tmp_path / "a.mka")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lengths == [PIECE] * 60
    assert peak < 20e6  # two pieces have 8 MB, the hour 230


def message(path, **options) -> str:
    with pytest.raises(InputError) as told:
        list(Sound(path, **options))
    assert "\n" not in str(told.value)
    return str(told.value)


def test_what_is_no_sound_is_told_in_one_line(tmp_path):
    path = tmp_path / "no.wav"
    assert "no such file; give a wav, mp3, m4a or flac" in message(path)
    assert "is not a file" in message(tmp_path)
    path.write_bytes(b"")
    assert "is no sound that FFmpeg can open" in message(path)
    path.write_bytes(b"RIFF" + bytes(1000))
    assert "give a wav, mp3, m4a or flac" in message(path)
    path.write_bytes(b"#EXTM3U\nhttp://example.com/a.mp3\n")
    assert "is a list of other files" in message(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    assert "is a picture or a text, not a sound" in message(path)


def test_a_video_without_sound_and_a_file_without_samples_say_so(tmp_path):
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as output:
        track = output.add_stream("libx264", rate=25)
        track.width = track.height = 32
        output.mux(track.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        output.mux(track.encode(None))
    assert message(path) == f"{path} has no sound; give a wav, mp3, m4a or flac, or a video with sound"
    path = write_sound(tmp_path / "a.wav", np.zeros(16), 16_000)
    path.write_bytes(path.read_bytes()[:-32])
    assert "has a sound track but not one sample that can be decoded" in message(path)


def test_sound_that_is_over_before_the_first_picture_is_none(tmp_path):
    path = clip_with_click(tmp_path / "a.mkv", pictures_s=3, seconds=1, click_s=0.5)
    assert "is over before its first picture" in message(path)


def test_too_long_is_told_at_once_by_a_header_and_on_the_way_without(tmp_path):
    path = write_sound(tmp_path / "a.wav", np.zeros(40_000), 8000)
    says = "has more than 0.001 hours of sound; cut it into parts and animate them one by one"
    with pytest.raises(InputError, match=says):
        Sound(path, longest_h=0.001)
    gap = Sound(write_sound(tmp_path / "a.mka", np.zeros(40_000), 8000, holes=((1, 4),)), longest_h=0.001)
    with pytest.raises(InputError, match=says):
        list(gap)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int16])
def test_an_array_is_a_sound(dtype):
    wave = tone(1.2, rate=48_000)
    values = np.rint(wave * 32768).astype(dtype) if dtype == np.int16 else wave.astype(dtype)
    sound = Sound.of_array(values, 48_000)
    found = heard(sound)
    assert found.dtype == np.float32
    assert len(found) == 19_200
    off = 5e-4 if dtype == np.float16 else 2.5 * STEP
    np.testing.assert_allclose(found[400:-400], tone(1.2, rate=16_000)[400:-400], atol=off)
    assert (sound.duration_s, sound.start_s, sound.notes) == (pytest.approx(1.2), 0, [])


def test_an_arrays_channels_are_averaged():
    wave = np.random.default_rng(0).uniform(-1, 1, (200_000, 3))
    np.testing.assert_allclose(heard(Sound.of_array(wave, 16_000)), wave.mean(1), atol=STEP)


@pytest.mark.parametrize(
    ("samples", "rate", "says"),
    [
        ([0.0, 0.1], 16_000, "needed are .*floats"),
        (np.zeros(5, np.int32), 16_000, "the samples are int32 numbers, needed are"),
        (np.zeros(5, complex), 16_000, "the samples are complex128 numbers"),
        (np.zeros(0), 16_000, r"have the shape \[0\]"),
        (np.zeros((5, 0)), 16_000, r"have the shape \[5, 0\]"),
        (np.zeros((5, 2, 2)), 16_000, r"have the shape \[5, 2, 2\]"),
        (np.zeros((2, 16_000)), 16_000, "have 16000 channels, .*; channels are the second axis"),
        (np.array([0, np.nan]), 16_000, "hold NaN or infinity"),
        (np.array([0, -np.inf], np.float32), 16_000, "hold NaN or infinity"),
        (np.array([0.0, -20_000]), 16_000, "reach 20000, .*; divide them by their own scale"),
        (np.zeros(5), 16_000.5, "rate"),
        (np.zeros(5), 999, "rate"),
        (np.zeros(5), 10**6, "rate"),
        (np.zeros(9000), 1000, "has more than 0.002 hours"),
    ],
)
def test_an_array_that_is_no_sound_is_told_in_one_line(samples, rate, says):
    with pytest.raises(InputError, match=says) as told:
        Sound.of_array(samples, rate, longest_h=0.002)
    assert "\n" not in str(told.value)


def passing(spectrum: np.ndarray) -> np.ndarray:
    return spectrum


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_with_a_separator_the_voice_is_as_long_and_in_place(tmp_path, rate):
    separator = Separator(network=passing, dim_f=3841, segment=32)
    sound = Sound(write_sound(tmp_path / "a.wav", tone(1.5, rate=rate), rate), separator=separator)
    voice = heard(sound)
    assert len(voice) == 24_000
    inner = slice(3000, -3000)  # the network's missing lowest tones are heard at the ends
    np.testing.assert_allclose(voice[inner], 1.009 * tone(1.5, rate=16_000)[inner], atol=2e-3)


def test_with_a_separator_pieces_are_separated_one_by_one():
    seen = []

    class Counting(Separator):
        def separate(self, wave):
            seen.append(wave.shape)
            return wave

    separator = Counting(network=passing, dim_f=3841, segment=32)
    wave = tone(61, rate=16_000)
    pieces = list(Sound.of_array(wave, 16_000, separator=separator))
    assert seen == [(2, 2_646_000), (2, 44_100)]
    assert [len(piece) for piece in pieces] == [PIECE, 16_000]
    for piece, written in zip(pieces, [wave[:PIECE], wave[PIECE:]], strict=True):  # each has its resampler's ends
        np.testing.assert_allclose(piece[800:-800], written[800:-800], atol=4 * STEP)


def test_silence_stays_silence_through_a_separator():
    def never(spectrum):
        raise AssertionError("there is nothing to be heard")

    separator = Separator(network=never, dim_f=3841, segment=32)
    assert not heard(Sound.of_array(np.zeros(20_000, np.int16), 16_000, separator=separator)).any()
