from __future__ import annotations

import os
import stat

import pytest

from engines.errors import InputError, OutputError
from hp_trt.fetch import fetch as fetching
from hp_trt.fetch import table
from hp_trt.fetch.fetch import fetch
from tests.hp_trt.command_line import refused
from tests.hp_trt.fetch.wheels import CONTENT, WANTED, write_wheel


@pytest.fixture
def pip(monkeypatch, tmp_path_factory):
    """pip's part: the wheels that were asked for, and which one it has."""
    asked = []

    def download(wanted, folder):
        asked.append(folder)
        return write_wheel(folder, pip.content)

    def pip():
        return asked

    pip.content = CONTENT
    monkeypatch.setattr(fetching, "download", download)
    return pip


@pytest.fixture
def data(monkeypatch, tmp_path):
    """The user's data folder, not made yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    return tmp_path / "share" / "hp-trt"


def test_the_file_comes_to_its_place_and_the_wheel_goes(pip, data):
    said = []
    place = fetch(WANTED, note=said.append)
    assert place == data / "face_landmark.tflite" and place.read_bytes() == CONTENT
    assert [entry.name for entry in data.iterdir()] == [place.name]
    assert stat.S_IMODE(place.stat().st_mode) & 0o111 == 0
    assert not pip()[0].exists(), "the download's folder is temporary"
    assert "Apache License 2.0" in said[1] and "https://github.com/google/mediapipe" in said[1]


def test_whose_it_is_and_its_licence_are_told_before_anything_is_fetched(pip, data, monkeypatch):
    said = []

    def refuse(wanted, folder):
        assert any("licence: Apache License 2.0" in line for line in said)
        raise InputError("no network")

    monkeypatch.setattr(fetching, "download", refuse)
    with pytest.raises(InputError, match="no network"):
        fetch(WANTED, note=said.append)
    assert list(data.iterdir()) == []


def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(pip, data):
    place = fetch(WANTED)
    assert fetch(WANTED) == place and len(pip()) == 1
    place.write_bytes(CONTENT[:100])
    assert fetch(WANTED) == place and len(pip()) == 2 and place.read_bytes() == CONTENT


def test_a_wrong_wheel_leaves_what_was_there(pip, data):
    data.mkdir(parents=True)
    (data / WANTED.file).write_bytes(b"mine")
    pip.content = b"another file"
    with pytest.raises(InputError, match="has another face_landmark"):
        fetch(WANTED)
    assert (data / WANTED.file).read_bytes() == b"mine" and len(list(data.iterdir())) == 1


def test_a_wheel_of_the_users_needs_no_pip_and_goes_where_out_says(pip, data, tmp_path):
    wheel, out = write_wheel(tmp_path), tmp_path / "mine.tflite"
    assert fetch(WANTED, wheel=wheel, out=out) == out
    assert out.read_bytes() == CONTENT and pip() == [] and not data.exists()


def test_the_wheel_is_never_written_over(pip, tmp_path):
    wheel = write_wheel(tmp_path)
    before, link = wheel.read_bytes(), tmp_path / "link"
    link.symlink_to(wheel)
    for out in (wheel, link):
        with pytest.raises(InputError, match="is the wheel itself"):
            fetch(WANTED, wheel=wheel, out=out)
    assert wheel.read_bytes() == before


def test_a_place_that_cannot_be_written_is_told(pip, data, tmp_path):
    with pytest.raises(OutputError, match="is no folder; make it first"):
        fetch(WANTED, out=tmp_path / "none" / "f")
    with pytest.raises(OutputError, match="is a folder; give a file name in it"):
        fetch(WANTED, out=tmp_path)
    data.parent.write_text("a file where a folder should be")
    with pytest.raises(OutputError, match=r"face_landmark\.tflite could not be written: .*--out FILE"):
        fetch(WANTED)
    assert pip() == [], "before the download"


def test_a_full_disk_leaves_nothing(pip, data, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        fetch(WANTED)
    assert list(data.iterdir()) == []


def test_a_fault_of_our_own_is_not_told_as_the_networks(data, monkeypatch):
    def broken(wanted, folder):
        raise KeyError("ours")

    monkeypatch.setattr(fetching, "download", broken)
    with pytest.raises(KeyError, match="ours"):
        fetch(WANTED)


def test_the_command_tells_the_licence_and_prints_the_place(hp_trt, pip, data, monkeypatch, tmp_path):
    monkeypatch.setattr(table, "FETCHED", {"mesh": WANTED})
    ended = hp_trt("fetch", "mesh")
    assert (ended.code, ended.out) == (0, f"{data / WANTED.file}\n")
    assert "Apache License 2.0" in ended.err and "The MediaPipe Authors" in ended.err
    wrong = write_wheel(tmp_path, b"another")
    refused(hp_trt("fetch", "mesh", "--wheel", wrong, "--out", tmp_path / "f"), "has another face_landmark.tflite")
    refused(hp_trt("fetch", "mash"), "did you mean mesh?")
    assert not (tmp_path / "f").exists()
