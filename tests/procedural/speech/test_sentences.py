import numpy as np
import pytest

from procedural.speech import HZ, LANGUAGES, sentence
from procedural.speech.phonemes import PAUSE, SOUNDS


@pytest.mark.parametrize("language", LANGUAGES)
def test_phonemes_follow_each_other_from_the_beginning_to_the_end(language):
    speech = sentence(3, 4.0, language=language)
    assert speech.samples.shape == (4 * HZ,) and speech.samples.dtype == np.float32
    assert speech.phonemes[0].start_s == 0 and speech.phonemes[-1].end_s == 4.0
    assert all(a.end_s == b.start_s for a, b in zip(speech.phonemes, speech.phonemes[1:], strict=False))
    assert all(p.symbol in SOUNDS and p.end_s > p.start_s for p in speech.phonemes)


def test_a_seed_is_a_sentence():
    assert np.array_equal(sentence(1, 1.0).samples, sentence(1, 1.0).samples)
    assert not np.array_equal(sentence(1, 1.0).samples, sentence(2, 1.0).samples)


def test_another_voice_says_the_same_words_otherwise():
    first, second = sentence(1, 3.0, voice=5), sentence(1, 3.0, voice=6)
    words = ["".join(p.symbol for p in speech.phonemes)[:8] for speech in (first, second)]
    assert words[0] == words[1]
    assert not np.array_equal(first.samples, second.samples)


def test_vowels_are_loud_and_pauses_silent():
    speech = sentence(5, 6.0)

    def level(symbols):
        heard = [
            np.square(speech.samples[round(p.start_s * HZ) : round(p.end_s * HZ)]).mean()
            for p in speech.phonemes
            if p.symbol in symbols and p.end_s - p.start_s > 0.05
        ]
        return np.sqrt(np.median(heard))

    vowels = {symbol for symbol, sound in SOUNDS.items() if sound.kind == "vowel"}
    assert level(vowels) > 20 * level({PAUSE})
    assert np.abs(speech.samples).max() <= 1


def test_every_syllable_part_is_made_of_known_sounds():
    for language in LANGUAGES.values():
        for part in (*language.onsets, *language.nuclei, *language.codas):
            assert set(part) <= set(SOUNDS)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_length_that_is_none_is_refused(seconds):
    with pytest.raises(ValueError, match="positive number of seconds"):
        sentence(0, seconds)


def test_very_short_speech_is_silence_of_that_length():
    speech = sentence(0, 0.01)
    assert speech.samples.shape == (160,) and [p.symbol for p in speech.phonemes] == [PAUSE]


def test_an_unknown_language_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="there are en, de"):
        sentence(0, 1.0, language="fr")
