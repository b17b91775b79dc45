"""espeak's names against the library's own table of phonemes, where it is installed."""

import struct
from pathlib import Path

import pytest

from procedural.speech import LANGUAGES
from procedural.speech.espeak_phonemes import sounds
from procedural.speech.phonemes import PAUSE, SOUNDS

# A type of the library's phonemes -> kinds of ours that look and sound so.
KINDS = {
    2: {"vowel"},
    3: {"liquid", "stop"},  # taps are d of ours
    4: {"stop", "fricative"},  # a glottal stop is h of ours: lips do nothing for either
    5: {"stop", "fricative"},  # g# of German is a fricative by its sound
    6: {"fricative"},
    7: {"fricative", "liquid"},
    8: {"nasal"},
}
# Consonants that carry a syllable are vowels to the library, one of these is a w: a rounded fricative.
SYLLABIC = {"m-": "m", "n-": "n", "N-": "ŋ", "l-": "l", "r-": "ɹ"}
INTERNAL = {"#X1", ":", "-", "", "1"}  # no phonemes of speech


def names(table):
    """(name, type) of a table of the library's file `phontab`, and of those that it builds on."""
    data = Path(pytest.importorskip("espeakng_loader").get_data_path(), "phontab").read_bytes()
    tables, order, at = {}, [], 4
    for _ in range(data[0]):
        count, base = data[at], data[at + 1]
        name = data[at + 4 : at + 36].split(b"\0")[0].decode()
        at += 36
        rows = [struct.unpack("<4s6xBB4x", data[at + 16 * i : at + 16 * i + 16]) for i in range(count)]
        at += 16 * count
        tables[name] = (base, {row[0].split(b"\0")[0].decode("latin1"): row[2] for row in rows})
        order.append(name)
    found = {}
    while table:
        base, rows = tables[table]
        found = rows | found
        table = order[base - 1] if base else ""
    return {name: kind for name, kind in found.items() if kind in KINDS and name not in INTERNAL}


@pytest.mark.parametrize(("language", "table"), [("en", "en"), ("en", "en-us"), ("en", "en-sc"), ("de", "de")])
def test_every_phoneme_of_the_library_becomes_sounds_of_its_kind(language, table):
    known = names(table)
    assert len(known) > 80
    for name, kind in known.items():
        found = sounds(name, language)
        assert set(found) <= set(SOUNDS)
        if name in SYLLABIC:
            assert found[-1] == SYLLABIC[name]
        elif not name.startswith("w#"):
            assert SOUNDS[found[0]].kind in KINDS[kind], f"{name} -> {found}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_unknown_name_is_silent(language):
    for name in ("Q9", "zz", "$", "#", "", "é", "k'", "m^2", "B#", "日", "t_", "p|"):
        assert PAUSE not in sounds(name, language)
    assert sounds("_", language) == sounds("_:", language) == sounds("||", language) == (PAUSE,)


def test_an_unknown_name_is_what_it_begins_with():
    assert sounds("p^9", "en") == ("p",) and sounds("tS:", "en") == ("t", "ʃ")
    assert sounds("aI7", "de") == ("a", "ɪ") and sounds("M", "en") == ("m",) and sounds("$", "en") == ("ə",)


def test_stress_is_no_part_of_a_name():
    assert sounds("'aI", "en") == sounds("aI", "en") and sounds(",m", "de") == ("m",)


def test_a_name_sounds_as_its_language_says():
    assert sounds("a", "en") == ("æ",) and sounds("a", "de") == ("a",)
    assert sounds("r", "en") == ("ɹ",) and sounds("r", "de") == ("ʁ",)
