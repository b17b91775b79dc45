"""Motion and portrait files with something in them that is other: refused, or the very same result.

A file that was damaged on its way has the hash of what it was. One that somebody forged has the hash of what it is, so
it may be read as something else, but never ends in an error that is not ours.
"""

from __future__ import annotations

import json
import random
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import HpTrtError
from hp_trt.encoded.driver import EncodedDriver
from hp_trt.encoded.encoded_file import EncodedFile
from hp_trt.encoded.tensor_file import read_tensor_file, write_tensor_file
from hp_trt.hallo2 import motion_file as speech_file
from hp_trt.hallo2 import portrait_file as talk_portrait_file
from hp_trt.hunyuanportrait import portrait_file
from hp_trt.hunyuanportrait.motion_file import KeptMotion
from hp_trt.hunyuanportrait.profiles import PROFILES, sampling_of
from hp_trt.media.kept_sound import sound_of
from runtime.stages import Stages
from tests.fakes import FakeBackend
from tests.hostile import fuzz, refused_or_right, spoiled
from tests.hp_trt.encoded.made import shipped_bundle, with_other_graph

KINDS = ("motion", "portable", "portrait", "speech", "talk portrait")
EXACT = PROFILES.find("exact")


@pytest.fixture(scope="module")
def files(made_files, made_talk):
    """By kind: a good file, and what is read of one, in arrays and words that can be compared."""
    own, talk = shipped_bundle(), shipped_bundle("shipped:talk_pocket")
    sampling = sampling_of(own.manifest.sampling, EXACT)
    other = with_other_graph(own, "motion")  # of a portable file the crops are read

    def motion(path):
        driver = EncodedDriver(path)
        bank = KeptMotion(own, driver, EXACT, sampling).bank(FakeBackend(), None, stages=Stages())
        return [bank.finish(2).array, driver.times, driver.notes, driver.info.rate, _sound(driver.file)]

    def portable(path):
        driver = EncodedDriver(path)
        kept = KeptMotion(other, driver, EXACT, sampling)
        crops = [kept.item(frame) for frame, _ in driver.timed()]
        return [[c.face_image, c.pose_image, c.landmarks, c.anew] for c in crops], driver.times

    def portrait(path):
        made = portrait_file.portrait_of_file(FakeBackend(), own, EncodedFile(path, "portrait"))
        encoded = made.encoded
        tensors = (encoded.identity.image_tokens.array, encoded.identity.start_latents, encoded.square)
        return [made.image, made.key, made.notes, encoded.box, *tensors, encoded.embedding]

    def speech(path):
        kept = speech_file.KeptSpeech(talk, EncodedFile(path, "motion"))
        tokens = [made.array for made in kept.tokens(FakeBackend(), 0)]
        return [tokens, kept.frames, kept.clips, kept.start_s, kept.notes, kept.released_plan, _sound(kept._file)]

    def talk_portrait(path):
        made = talk_portrait_file.portrait_of_file(FakeBackend(), talk, EncodedFile(path, "portrait"))
        conditions = made.encoded.conditions
        tensors = [buffer.array for buffer in conditions.of_denoiser().values()]
        return [made.image, made.key, made.encoded.box, *tensors, conditions.picture, conditions.face_region]

    paths = (
        made_files.motion,
        made_files.portable,
        made_files.portrait_file,
        made_talk.motion,
        made_talk.portrait_file,
    )
    return dict(zip(KINDS, zip(paths, (motion, portable, portrait, speech, talk_portrait), strict=True), strict=True))


def _sound(file):
    found = sound_of(file)
    return None if found is None else [found.content, found.ticks, found.time_base, found.container, found.begins_s]


def same(one, other):
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return np.array_equal(one, other)


def mutated(content, rng):
    """One to four bytes, numbers or places that are others: most of them in the header."""
    made = bytearray(content)
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(min(header, len(made)) if rng.random() < 0.6 else len(made)) if made else 0
        act = rng.choice(("flip", "flip", "digit", "set", "cut", "insert", "remove", "swap", "length"))
        if act == "flip" and made:
            made[at] ^= 1 << rng.randrange(8)
        elif act == "digit":
            digits = [i for i in range(8, min(header, len(made))) if 48 <= made[i] <= 57]
            if digits:
                made[rng.choice(digits)] = rng.randrange(48, 58)
        elif act == "set":
            made[at : at + 1] = bytes([rng.choice((0, 32, 34, 44, 57, 91, 123, 127, 128, 255))])
        elif act == "cut":
            del made[at:]
        elif act == "insert":
            made[at:at] = rng.randbytes(rng.randint(1, 9))
        elif act == "remove":
            del made[at : at + rng.randint(1, 9)]
        elif act == "swap":
            other = rng.randrange(len(made)) if made else 0
            made[at : at + 8], made[other : other + 8] = made[other : other + 8], made[at : at + 8]
        else:
            made[:8] = rng.choice((0, 2, header, 2**20, 2**31, 2**63, 2**64 - 1)).to_bytes(8, "little")
    return bytes(made)


def tried(files, kind, path, seeds):
    """How many of the mutated files were refused, and how many gave the same."""
    source, read = files[kind]
    content, expected = source.read_bytes(), read(source)
    refused = right = 0
    for seed in seeds:
        path.write_bytes(mutated(content, random.Random(f"{kind} {seed}")))
        try:
            with refused_or_right():
                found = read(path)
                assert same(found, expected), f"{kind} {seed}: read as something else"
                right += 1
                continue
        except AssertionError:
            raise
        refused += 1
    return refused, right


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_damaged_is_refused_or_gives_the_same(files, kind, tmp_path):
    refused, right = tried(files, kind, tmp_path / "x", range(100))
    assert refused + right == 100 and refused > 80


@pytest.mark.heavy
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_damaged_files_are_refused_or_give_the_same(files, kind, tmp_path):
    refused, right = tried(files, kind, tmp_path / "x", range(100, 2100))
    print(f"{kind}: {refused} refused, {right} the same")
    assert refused + right == 2000


@pytest.mark.parametrize("kind", KINDS)
def test_a_header_that_was_forged_is_read_or_refused_by_an_error_of_ours(files, kind, tmp_path):
    source, read = files[kind]
    file = read_tensor_file(source)
    about, arrays = json.loads(file.about), {name: file.array(name) for name in file.tensors}

    @fuzz(25)
    @given(st.data())
    def check(data):
        write_tensor_file(tmp_path / "x", format=file.format, about=data.draw(spoiled(about)), tensors=arrays)
        with refused_or_right():
            read(tmp_path / "x")

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_that_were_forged_are_read_or_refused_by_an_error_of_ours(files, kind, tmp_path):
    source, read = files[kind]
    file = read_tensor_file(source)
    about, arrays = json.loads(file.about), {name: file.array(name) for name in file.tensors}
    rng = random.Random(kind)
    for name in arrays:
        for change in (_none, _one, _wide, _nan, _huge, _noise, _turned):
            forged = {**arrays, name: change(arrays[name], rng)}
            with suppress(AssertionError):  # a type that is not among those that are written
                write_tensor_file(tmp_path / "x", format=file.format, about=about, tensors=forged)
            with refused_or_right():
                read(tmp_path / "x")


def _none(array, rng):
    return array[:0]


def _one(array, rng):
    return array[:1]


def _wide(array, rng):
    return array.astype(np.float64)


def _nan(array, rng):
    return np.full_like(array, np.nan) if array.dtype.kind == "f" else array[::-1]


def _huge(array, rng):
    return np.full_like(array, np.finfo(array.dtype).max if array.dtype.kind == "f" else np.iinfo(array.dtype).max)


def _noise(array, rng):
    return np.frombuffer(rng.randbytes(array.nbytes), array.dtype).reshape(array.shape)


def _turned(array, rng):
    return array.reshape(array.shape[::-1])


def test_the_good_files_are_read(files):
    for source, read in files.values():
        assert same(read(source), read(source))
    with pytest.raises(HpTrtError):
        files["motion"][1](files["portrait"][0])
