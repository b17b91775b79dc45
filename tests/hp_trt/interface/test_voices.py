import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from engines.errors import EngineMismatch, InputError
from hp_trt.interface.voices import LANGUAGES, require_espeak, speech, speech_of
from procedural import speech as synthetic
from procedural.speech import espeak, sentence


def test_the_languages_that_are_offered_are_those_of_both_voices():
    assert tuple(synthetic.LANGUAGES) == tuple(espeak.ACCENTS) == LANGUAGES


def test_our_own_voice_is_the_one_that_it_was():
    said = speech("own", 7, 1.2, language="de")
    assert np.array_equal(said.samples, sentence(7, 1.2, language="de").samples)


def test_espeak_is_another_one():
    pytest.importorskip("espeakng_loader")
    assert np.array_equal(speech("espeak", 7, 1.2).samples, espeak.sentence(7, 1.2).samples)
    assert speech_of("hello", 7).phonemes == espeak.spoken("hello", seed=7).phonemes


@pytest.mark.parametrize("ask", [require_espeak, lambda: speech("espeak", 0, 1.0), lambda: speech_of("a", 0)])
def test_where_it_is_not_installed_the_extra_is_named(ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError, match=r"needs espeakng_loader, which is not installed; pip install '\.\[espeak\]'"):
        ask()


def test_a_damaged_one_is_told(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "library.so").write_bytes(b"no library")
    damaged = SimpleNamespace(
        get_library_path=lambda: str(tmp_path / "library.so"), get_data_path=lambda: str(tmp_path / "data")
    )
    monkeypatch.setitem(sys.modules, "espeakng_loader", damaged)
    with pytest.raises(EngineMismatch, match=r"cannot be used .*; install espeakng-loader again"):
        speech("espeak", 0, 1.0)
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(EngineMismatch, match="data is missing"):
        require_espeak()


def test_other_voices_languages_and_texts_are_refused():
    with pytest.raises(InputError, match="no voice 'mine'; there are: own, espeak"):
        speech("mine", 0, 1.0)
    for ask in (lambda: speech("own", 0, 1.0, language="xx"), lambda: speech_of("a", 0, language="xx")):
        with pytest.raises(InputError, match="no language 'xx'; there are: en, de"):
            ask()
    with pytest.raises(InputError, match="nothing to say"):
        speech_of("", 0)
