from __future__ import annotations

import importlib.util
import os
import subprocess
import tracemalloc
import zipfile
from contextlib import suppress

import pytest

from engines.errors import InputError
from hp_trt.fetch import wheel
from hp_trt.fetch.wheel import download, member_of
from tests.hp_trt.fetch.wheels import CONTENT, NAME, WANTED, write_wheel


def test_the_file_is_taken_out_of_the_wheel(tmp_path):
    assert member_of(write_wheel(tmp_path), WANTED) == CONTENT
    assert member_of(write_wheel(tmp_path, packed=zipfile.ZIP_STORED), WANTED) == CONTENT


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "has no mediapipe/modules/face_landmark/face_landmark.tflite"),
        (CONTENT[:-1] + b"!", "has another face_landmark.tflite: its SHA-256 is not"),
        (CONTENT[:-1], "has another face_landmark.tflite"),
        (CONTENT + b" ", "has another face_landmark.tflite"),
        (b"", "has another face_landmark.tflite"),
    ],
)
def test_a_wheel_without_that_very_file_is_refused(tmp_path, content, says):
    with pytest.raises(InputError, match=f"{says}.*give the wheel of mediapipe==0.10.21, or none"):
        member_of(write_wheel(tmp_path, content), WANTED)


def test_a_bomb_is_unpacked_no_further_than_the_file_is_long(tmp_path):
    bomb = write_wheel(tmp_path, bytes(200 << 20))
    tracemalloc.start()
    with pytest.raises(InputError, match="has another face_landmark"):
        member_of(bomb, WANTED)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert bomb.stat().st_size < 1 << 20 and peak < 4 << 20


@pytest.mark.parametrize("packed", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_packing_that_asks_for_its_own_memory_is_refused(tmp_path, packed):
    with pytest.raises(InputError, match=r"packs face_landmark\.tflite in a way that wheels do not"):
        member_of(write_wheel(tmp_path, packed=packed), WANTED)


def test_a_damaged_wheel_is_refused_wherever_it_is_damaged(tmp_path):
    path = write_wheel(tmp_path)
    whole = path.read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match="is no wheel that can be read"):
            member_of(path, WANTED)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with suppress(InputError):  # our own error, and no other
            assert member_of(path, WANTED) == CONTENT, "only what does not matter was hit"


def test_what_is_no_file_or_larger_than_any_wheel_is_not_opened(tmp_path):
    large = tmp_path / "large.whl"
    large.touch()
    os.truncate(large, 49 << 20)  # takes no room on the disk
    with pytest.raises(InputError, match="has 49 MiB, more than any wheel that is meant"):
        member_of(large, WANTED)
    os.mkfifo(tmp_path / "pipe.whl")
    for path in (tmp_path / "none.whl", tmp_path, tmp_path / "pipe.whl"):
        with pytest.raises(InputError, match="no such file"):
            member_of(path, WANTED)


@pytest.fixture
def index(monkeypatch, tmp_path):
    """A folder that pip takes for all there is: no network."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "downloaded"
    folder.mkdir()
    return folder


def test_pip_downloads_one_wheel_whatever_python_and_machine_this_is(index, place):
    write_wheel(index, b"another", name="mediapipe-0.10.20-cp312-cp312-manylinux_2_28_x86_64.whl")
    write_wheel(index, b"another", name="mediapipe-0.10.21-cp312-cp312-macosx_11_0_universal2.whl")
    write_wheel(index)
    found = download(WANTED, place)
    assert found == place / NAME and member_of(found, WANTED) == CONTENT


def test_pips_own_reason_is_told_and_what_to_do_without_a_network(index, place):
    with pytest.raises(InputError, match=r"pip could not download mediapipe==0\.10\.21: No matching .*--wheel FILE"):
        download(WANTED, place)


def test_without_pip_the_user_is_told_of_the_other_way(monkeypatch, place):
    there = importlib.util.find_spec
    monkeypatch.setattr(wheel.importlib.util, "find_spec", lambda name: None if name == "pip" else there(name))
    with pytest.raises(InputError, match=r"by pip, which this Python does not have; download .* give it with --wheel"):
        download(WANTED, place)


def test_a_pip_that_never_ends_is_ended(monkeypatch, place):
    monkeypatch.setattr(wheel, "_PATIENCE_S", 0.05)
    with pytest.raises(InputError, match=r"did not download mediapipe==0\.10\.21 in 0\.05 s; try again later"):
        download(WANTED, place)


def test_a_pip_that_says_nothing_useful_is_told_by_its_code(monkeypatch, place):
    ended = subprocess.CompletedProcess([], 3, stdout="", stderr="Killed\n")
    monkeypatch.setattr(wheel.subprocess, "run", lambda *words, **options: ended)
    with pytest.raises(InputError, match="it ended with 3"):
        download(WANTED, place)
