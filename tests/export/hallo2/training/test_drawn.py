import numpy as np
import pytest

from engines.errors import InputError
from export.hallo2.training.drawn import (
    SYMBOLS,
    Sentences,
    TalkingClips,
    classes_of,
    draw_sentence,
    draw_talking,
    identity_numbers,
    masks_of,
    mood_of,
    mood_weights,
    voice_of,
)
from procedural.identity import Identity
from procedural.speech import MOODS, Phoneme, espeak, mouth, sentence
from runtime.hallo2.presets import NEUTRAL


def test_a_clip_shows_the_part_of_its_sentence_that_it_names():
    drawn = draw_talking(1_000_003, frames=10, px=64)
    first = int(drawn["first"])
    whole = mouth(sentence(1_000_003, 6.0, language="en").phonemes, 150)
    assert np.array_equal(drawn["lips"], whole[first : first + 10])
    assert drawn["pictures"].shape == (10, 64, 64, 3) and drawn["masks"].shape == (3, 64 + 16 + 4 + 1)


def test_every_second_clip_has_a_mood_and_all_of_them_come_by_turns():
    found = [mood_of(1_000_000 + number) for number in range(20)]
    assert all(mood == ("neutral", 1.0) for mood in found[::2])
    assert [mood for mood, _ in found[1::2]] == [*list(MOODS)[1:], *list(MOODS)[1:]]
    assert all(0.5 <= strength <= 1 for _, strength in found[1::2])


def test_a_clip_says_how_much_there_is_of_each_mood():
    drawn = draw_talking(1_000_003, frames=2, px=64)["mood"]
    mood, strength = mood_of(1_000_003)
    assert drawn[list(MOODS).index(mood)] == np.float32(strength) and drawn.sum() == pytest.approx(1)
    assert mood_weights("neutral", 1.0).tolist() == list(NEUTRAL)


def test_classes_are_what_is_heard_at_each_frame():
    phonemes = [Phoneme("_", 0.0, 0.1), Phoneme("a", 0.1, 0.2)]
    assert [SYMBOLS[i] for i in classes_of(phonemes, 6)] == ["_", "_", "_", "a", "a", "a"]


def test_the_masks_are_those_of_the_application():
    levels = masks_of(Identity.random(3), 128).levels
    assert [level.shape for level in levels] == [(3, 256), (3, 64), (3, 16), (3, 4)]
    lips = levels[0][2].reshape(16, 16)
    y, x = np.unravel_index(lips.argmax(), lips.shape)
    assert 9 <= y <= 12 and 7 <= x <= 8


def test_two_people_have_different_numbers_and_one_the_same():
    one, other = (identity_numbers(Identity.random(seed)) for seed in (1, 2))
    assert one.shape == (512,) and np.array_equal(one, identity_numbers(Identity.random(1)))
    assert np.corrcoef(one, other)[0, 1] < 0.95


def test_damaged_arrays_name_their_folder(tmp_path):
    sentences = Sentences(folder=tmp_path, count=1)
    list(sentences.draw_missing())
    (sentences.path(0) / "lips.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match="delete the folder, and its stage makes it again"):
        sentences.load(0)


def test_nobody_is_spoken_by_espeak_unless_a_share_is_asked_for(tmp_path):
    seeds = range(1_000_000, 1_000_400)
    assert {voice_of(seed, 0.0) for seed in seeds} == {"own"} and {voice_of(seed, 1.0) for seed in seeds} == {"espeak"}
    some, more = ({seed for seed in seeds if voice_of(seed, share) == "espeak"} for share in (0.25, 0.5))
    assert some < more and 70 < len(some) < 130 and 160 < len(more) < 240
    assert Sentences(folder=tmp_path, count=1).path(0).name == "1000000-6x16000"
    assert TalkingClips(folder=tmp_path, count=1, frames=10, px=64).path(0).name == "1000000-10x64"


def test_a_share_is_spoken_by_espeak_and_kept_apart_from_our_own_voice(tmp_path):
    pytest.importorskip("espeakng_loader")
    sentences = Sentences(folder=tmp_path, count=4, espeak=0.5)
    assert list(sentences.draw_missing()) == [0, 1, 2, 3, 4]
    voices = [sentences.voice(number) for number in range(4)]
    assert set(voices) == {"own", "espeak"}
    assert [sentences.path(n).name.endswith("-espeak") for n in range(4)] == [voice == "espeak" for voice in voices]
    number = voices.index("espeak")
    said = espeak.sentence(1_000_000 + number, 6.0, language=("de", "en")[number % 2])
    loaded = sentences.load(number)
    assert np.allclose(loaded.samples, said.samples * 32767, atol=0.51)
    assert np.array_equal(loaded.lips, mouth(said.phonemes, 150))
    assert len({SYMBOLS[i] for i in loaded.classes}) > 10


def test_a_clip_says_the_sentence_of_its_voice():
    pytest.importorskip("espeakng_loader")
    drawn, heard = draw_talking(1_000_003, frames=10, px=64, voice="espeak"), draw_sentence(1_000_003, "espeak")
    first = int(drawn["first"])
    assert np.array_equal(drawn["lips"], heard["lips"][first : first + 10])


def test_a_run_that_was_begun_with_another_share_is_not_gone_on_with(tmp_path):
    list(Sentences(folder=tmp_path, count=1).draw_missing())
    Sentences(folder=tmp_path, count=1).check_voices()
    with pytest.raises(InputError, match=r"1000000-6x16000 is of a run with another --espeak than 1; go on with that"):
        Sentences(folder=tmp_path, count=1, espeak=1.0).check_voices()


def test_a_varied_talker_says_the_same_and_a_folder_keeps_to_its_share(tmp_path):
    plain, varied = (draw_talking(1_000_003, frames=2, px=64, varied=share) for share in (0.0, 1.0))
    assert np.array_equal(plain["lips"], varied["lips"]) and np.array_equal(plain["first"], varied["first"])
    assert not np.array_equal(plain["pictures"], varied["pictures"])
    (tmp_path / "1000000-10x64").mkdir()
    TalkingClips(folder=tmp_path, count=1, frames=10, px=64).check_share()
    with pytest.raises(InputError, match=r"another --varied than 0\.5; go on with that"):
        TalkingClips(folder=tmp_path, count=1, frames=10, px=64, varied=0.5).check_share()
    (tmp_path / "1000000-10x64").rmdir()
    (tmp_path / "1000000-10x64-varied0.5-espeak").mkdir()
    TalkingClips(folder=tmp_path, count=1, frames=10, px=64, varied=0.5).check_share()
    with pytest.raises(InputError, match="another --varied than 0;"):
        TalkingClips(folder=tmp_path, count=1, frames=10, px=64).check_share()
