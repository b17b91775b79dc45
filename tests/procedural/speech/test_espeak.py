"""espeak-ng speaks: with it, where it is installed, and without it, or with one that is damaged."""

import shutil
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from procedural.speech import HZ, LANGUAGES, espeak, mouth
from procedural.speech.espeak import EspeakFailed, EspeakVoice
from procedural.speech.phonemes import PAUSE, SOUNDS
from procedural.speech.words import WORDS

ROOT = Path(__file__).parents[3]
VOWELS = {symbol for symbol, sound in SOUNDS.items() if sound.kind == "vowel"}


@pytest.fixture(scope="module")
def library():
    """The package, where it is installed."""
    return pytest.importorskip("espeakng_loader")


@pytest.fixture
def package(library, tmp_path, monkeypatch):
    """A copy of the installed library and its data, which a test may damage."""
    copy = shutil.copytree(Path(library.__file__).parent, tmp_path / "copy")
    name = Path(library.get_library_path()).name
    other = SimpleNamespace(
        get_library_path=lambda: str(copy / name), get_data_path=lambda: str(copy / "espeak-ng-data")
    )
    monkeypatch.setitem(sys.modules, "espeakng_loader", other)
    return SimpleNamespace(library=copy / name, data=copy / "espeak-ng-data")


def level(speech, symbols, *, least_s=0.04):
    """The middle of the levels of these sounds."""
    heard = [
        np.square(speech.samples[round(p.start_s * HZ) : round(p.end_s * HZ)]).mean()
        for p in speech.phonemes
        if p.symbol in symbols and p.end_s - p.start_s > least_s
    ]
    return float(np.sqrt(np.median(heard)))


def unbroken(speech):
    phonemes = speech.phonemes
    return (
        phonemes[0].start_s == 0
        and phonemes[-1].end_s == pytest.approx(len(speech.samples) / HZ, abs=1 / HZ)
        and all(a.end_s == b.start_s for a, b in pairwise(phonemes))
        and all(p.symbol in SOUNDS and p.end_s > p.start_s for p in phonemes)
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("language", LANGUAGES)
def test_times_grow_inside_of_the_sound_and_vowels_are_loud_where_pauses_are_silent(language, seed, library):
    speech = espeak.sentence(seed, 4.0, language=language)
    assert speech.samples.shape == (4 * HZ,) and speech.samples.dtype == np.float32
    assert unbroken(speech) and speech.phonemes[-1].end_s == 4.0
    assert level(speech, VOWELS) > 10 * level(speech, {PAUSE})
    assert 0.2 < np.abs(speech.samples).max() <= 1
    assert len({p.symbol for p in speech.phonemes}) > 8


@pytest.mark.parametrize("accent", [accent for accents in espeak.ACCENTS.values() for accent in accents])
def test_every_accent_speaks(accent, library):
    language = next(name for name, accents in espeak.ACCENTS.items() if accent in accents)
    speech = espeak.spoken("Anna, Otto, Mama", language=language, voice=EspeakVoice(accent=accent, variant="f2"))
    assert unbroken(speech) and level(speech, VOWELS) > 10 * level(speech, {PAUSE})


def test_every_variant_is_another_voice(library):
    heard = {
        espeak.spoken("mama", voice=EspeakVoice(accent="de", variant=variant), language="de").samples.tobytes()
        for variant in espeak.VARIANTS
    }
    assert len(heard) == len(espeak.VARIANTS)


@pytest.mark.parametrize("letter", "mbp")
def test_lips_close_at_a_sound_of_lips_and_the_sound_falls_there(letter, library):
    slow = EspeakVoice(accent="en-us", variant="m3", rate=120)
    speech = espeak.spoken(f"My {letter}ar, a {letter}ar, far.", voice=slow)
    jaw = mouth(speech.phonemes, round(len(speech.samples) / HZ * 100), fps=100.0)[:, 0]

    def jaws(symbol):
        return [jaw[round((p.start_s + p.end_s) * 50)] for p in speech.phonemes if p.symbol == symbol]

    assert len(jaws(letter)) >= 2 and len(jaws("ɑ")) == 3
    assert max(jaws(letter)) < 0.2 < 0.6 < min(jaws("ɑ"))
    assert level(speech, {letter}, least_s=0.01) < 0.85 * level(speech, {"ɑ"})  # an m is voiced all the way


def test_an_ipa_reader_finds_the_sounds_of_a_known_text(library):
    speech = espeak.spoken("My mother moved five boats.", voice=EspeakVoice(accent="en-us", variant="m1"))
    said = "".join(p.symbol for p in speech.phonemes).strip(PAUSE)
    assert said == "maɪmʌðəɹmuvdfaɪvboʊts"


def test_the_same_seed_is_the_same_sentence_whatever_was_said_before(library):
    first = espeak.sentence(3, 1.5)
    espeak.sentence(4, 1.5, language="de")
    again = espeak.sentence(3, 1.5)
    assert np.array_equal(first.samples, again.samples) and first.phonemes == again.phonemes
    assert not np.array_equal(first.samples, espeak.sentence(5, 1.5).samples)


def test_threads_that_speak_at_once_get_what_each_alone_gets(library):
    alone = [espeak.sentence(seed, 1.0).samples for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: espeak.sentence(seed, 1.0).samples, range(4)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_another_process_says_the_same(library):
    code = "import zlib; from procedural.speech import espeak; print(zlib.crc32(espeak.sentence(9, 1.0).samples))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(ended.stdout) == zlib.crc32(espeak.sentence(9, 1.0).samples)


def test_a_faster_voice_takes_less_time(library):
    slow, fast = (
        espeak.spoken("one two three four", voice=EspeakVoice(accent="en-us", variant="m2", rate=rate))
        for rate in (130, 220)
    )
    assert len(fast.samples) < 0.8 * len(slow.samples)


def test_a_very_short_sentence_is_silence_of_that_length(library):
    speech = espeak.sentence(0, 0.01)
    assert speech.samples.shape == (160,) and unbroken(speech)


def test_voices_are_different_people_and_each_of_its_seed():
    voices = [EspeakVoice.random(seed, "en") for seed in range(200)]
    assert voices[3] == EspeakVoice.random(3, "en")
    assert {voice.variant for voice in voices} == set(espeak.VARIANTS)
    assert {voice.accent for voice in voices} == set(espeak.ACCENTS["en"])


def test_every_language_with_mouth_shapes_has_accents_and_words():
    assert set(espeak.ACCENTS) == set(WORDS) == set(LANGUAGES)
    assert all(len(set(words)) == len(words) > 150 for words in WORDS.values())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"accent": "xx", "variant": "m1"}, "no accent 'xx' here; there are en-us"),
        ({"accent": "de", "variant": "nobody"}, "no variant 'nobody' here; there are m1"),
        ({"accent": "de", "variant": "m1", "rate": 9}, "need rate 80..450"),
        ({"accent": "de", "variant": "m1", "loud": float("nan")}, "loud up to 1"),
    ],
)
def test_a_voice_that_it_does_not_have_is_refused_with_those_that_it_has(asked, message):
    with pytest.raises(ValueError, match=message):
        EspeakVoice(**asked)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "nothing to say"), (" ...\n", "nothing to say"), ("word " * 2001, "has 10005 letters, at most 10000")],
)
def test_a_text_that_cannot_be_said_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        espeak.spoken(text)


@pytest.mark.parametrize("text", ["a\0b", "<speak>a", "[[a]]", "a\ud800b", "日本語", "1\u202e2", "%s%n"])
def test_odd_texts_are_said_somehow(text, library):
    assert unbroken(espeak.spoken(text))


def test_a_language_without_a_voice_and_an_accent_of_another_one_are_refused():
    with pytest.raises(ValueError, match="no voice for the language 'fr' here; there are en, de"):
        espeak.sentence(0, 1.0, language="fr")
    with pytest.raises(ValueError, match="de is no accent of en"):
        espeak.spoken("hello", voice=EspeakVoice(accent="de", variant="m1"))


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_length_that_is_none_is_refused(seconds):
    with pytest.raises(ValueError, match="positive number of seconds"):
        espeak.sentence(0, seconds)


def test_without_the_package_its_import_fails_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ModuleNotFoundError) as failed:
        espeak.sentence(0, 1.0)
    assert failed.value.name == "espeakng_loader"
    with pytest.raises(ModuleNotFoundError):
        espeak.require()


@pytest.mark.parametrize("kept", [0, 1000, 300_000])
def test_a_torn_library_is_told(kept, package):
    package.library.write_bytes(package.library.read_bytes()[:kept])
    with pytest.raises(
        EspeakFailed, match=r"the espeak-ng library cannot be used \(.*\); install espeakng-loader again"
    ):
        espeak.spoken("hello")


def test_another_library_in_its_place_is_told(package):
    import _ctypes

    shutil.copy(_ctypes.__file__, package.library)
    with pytest.raises(EspeakFailed, match="espeak_Initialize"):
        espeak.spoken("hello")


@pytest.mark.parametrize("name", ["phontab", "phondata", "en_dict"])
def test_damaged_data_are_told_or_heard_but_end_no_caller(name, package):
    (package.data / name).write_bytes(b"\0" * 100)
    with suppress(EspeakFailed, ValueError):
        assert unbroken(espeak.spoken("hello", voice=EspeakVoice(accent="en-us", variant="m1")))


def test_missing_data_are_told(package):
    shutil.rmtree(package.data)
    with pytest.raises(EspeakFailed, match="espeak-ng-data is missing"):
        espeak.spoken("hello")


def test_data_without_the_voice_are_told(package):
    shutil.rmtree(package.data / "lang")
    with pytest.raises(EspeakFailed, match="it has no voice de"):
        espeak.spoken("hallo", language="de")


def test_a_deep_folder_is_no_hindrance(library, tmp_path, monkeypatch):
    """The library keeps 160 letters of its data's path."""
    deep = tmp_path.joinpath(*["a" * 60] * 4)
    copy = shutil.copytree(Path(library.__file__).parent, deep)
    name = Path(library.get_library_path()).name
    other = SimpleNamespace(
        get_library_path=lambda: str(copy / name), get_data_path=lambda: str(copy / "espeak-ng-data")
    )
    here = espeak.spoken("hello").samples
    monkeypatch.setitem(sys.modules, "espeakng_loader", other)
    assert np.array_equal(espeak.spoken("hello").samples, here)


def test_a_library_that_does_not_end_is_told(package, monkeypatch):
    monkeypatch.setattr(espeak, "_TIMEOUT_S", 0.001)
    with pytest.raises(EspeakFailed, match=r"has not ended after 0\.001 s"):
        espeak.spoken("hello")


def test_sound_keeps_its_place_when_its_rate_changes(library, monkeypatch):
    """A click of the library is heard where its sample says."""
    hz, at = 22_050, 11_025
    click = np.zeros(hz, np.float32)
    click[at : at + 20] = 1
    monkeypatch.setattr(espeak, "_answer", lambda request: (hz, [("a", 0), ("_", at)], click))
    speech = espeak.spoken("a")
    loud = np.flatnonzero(np.abs(speech.samples) > 0.5 * np.abs(speech.samples).max()) / HZ
    assert loud.mean() == pytest.approx(speech.phonemes[1].end_s + 10 / hz, abs=2e-4)


def test_a_library_that_says_nothing_is_told(library, monkeypatch):
    monkeypatch.setattr(espeak, "_answer", lambda request: (HZ, [], np.zeros(9, np.float32)))
    with pytest.raises(ValueError, match="finds nothing to say in 'x'"):
        espeak.spoken("x")
    with pytest.raises(EspeakFailed, match="it says nothing"):
        espeak.sentence(0, 1.0)
