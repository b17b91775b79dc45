import numpy as np
import pytest

from procedural.speech import MOUTH, Phoneme, mouth, sentence


def said(*symbols, each_s=0.2):
    return [Phoneme(symbol, i * each_s, (i + 1) * each_s) for i, symbol in enumerate(symbols)]


def of(name, lips):
    return lips[:, MOUTH.index(name)]


def test_four_numbers_a_frame_within_their_ranges():
    lips = mouth(sentence(2, 4.0).phonemes, 100)
    assert lips.shape == (100, 4) and lips.dtype == np.float32
    assert lips.max() <= 1 and of("corners", lips).min() >= -1 and np.delete(lips, 2, axis=1).min() >= 0


def test_an_a_opens_a_u_rounds_an_i_spreads_and_an_s_shows_teeth():
    lips = mouth(said("_", "a", "u", "i", "s", "_"), 30)
    middles = {symbol: lips[round((i + 0.5) * 5)] for i, symbol in enumerate(("_", "a", "u", "i", "s", "_"))}
    assert max(middles, key=lambda s: middles[s][0]) == "a"
    assert max(middles, key=lambda s: middles[s][1]) == "u"
    assert max(middles, key=lambda s: middles[s][2]) == "i"
    assert max(middles, key=lambda s: middles[s][3]) == "s"


def test_lips_close_for_a_short_m_between_open_vowels():
    phonemes = [Phoneme("a", 0.0, 0.4), Phoneme("m", 0.4, 0.48), Phoneme("a", 0.48, 0.9)]
    jaw = of("jaw", mouth(phonemes, 90, fps=100.0))
    assert jaw[44] < 0.2 and jaw[20] > 0.8


def test_a_vowel_is_heralded_in_the_consonant_before_it():
    u, a = (of("rounding", mouth(said("_", "k", vowel, "_"), 80, fps=100.0)) for vowel in ("u", "a"))
    assert u[37] > a[37] + 0.3


def test_longer_videos_begin_as_shorter_ones():
    phonemes = sentence(2, 4.0).phonemes
    assert np.array_equal(mouth(phonemes, 100)[:30], mouth(phonemes, 30))


def test_behind_the_last_phoneme_the_mouth_is_at_rest():
    lips = mouth(said("a"), 50)
    assert of("jaw", lips)[-1] < 0.01 and np.allclose(lips[-1], lips[-10])


def test_no_frames_and_no_phonemes_are_possible():
    assert mouth([], 0).shape == (0, 4) and mouth([], 3).shape == (3, 4)


@pytest.mark.parametrize(("frames", "fps"), [(-1, 25.0), (3, 0.0)])
def test_other_frames_are_refused(frames, fps):
    with pytest.raises(ValueError, match="positive rate"):
        mouth([], frames, fps=fps)
