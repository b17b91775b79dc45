"""Names tell what is what, however many there are."""

from __future__ import annotations

import os
import time

import pytest

from engines.errors import InputError
from hp_trt.apps.batch.media_folder import look_into


def test_ten_thousand_names_of_which_half_are_no_videos_are_told_apart_without_opening_one(tmp_path, monkeypatch):
    for number in range(5000):
        os.mkfifo(tmp_path / f"{number:05}.mp4")  # whoever opens one waits for ever
        (tmp_path / f"{number:05}.{'txt' if number % 5 else 'JSON'}").touch()
    begin_s = time.process_time()
    found = look_into(tmp_path, "drivings")
    assert time.process_time() - begin_s < 2
    assert len(found.files) == 5000 and found.files[7].name == "00007.mp4"
    assert found.passed_over == {".txt": 4000, ".json": 1000}
    assert found.told() == "4000 .txt, 1000 .json"


def test_what_is_passed_over_is_counted_by_its_ending(tmp_path):
    for name in ("a.PNG", "b.me.portrait.safetensors", ".DS_Store", "README", "c.mp4", *(f"x.{i}" for i in range(5))):
        (tmp_path / name).touch()
    (tmp_path / "more.png").mkdir()
    found = look_into(tmp_path, "portraits")
    assert [path.name for path in found.files] == ["a.PNG", "b.me.portrait.safetensors"]
    assert {"folders": 1, "hidden": 1, "no ending": 1, ".mp4": 1}.items() <= found.passed_over.items()
    assert found.told().endswith(" and 4 other endings")


def test_speech_may_be_a_sound_or_a_video(tmp_path):
    for name in ("a.wav", "b.mp4", "c.png"):
        (tmp_path / name).touch()
    assert [path.name for path in look_into(tmp_path, "audio").files] == ["a.wav", "b.mp4"]


@pytest.mark.parametrize(
    ("names", "says"),
    [([], "it is empty; give another folder"), (["a.txt", "b.txt"], "there are: 2 .txt; give another folder")],
)
def test_a_folder_without_one_is_refused_with_what_it_has(tmp_path, names, says):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=says):
        look_into(tmp_path, "drivings")


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"--audio .*none cannot be read: .*; give a folder"):
        look_into(tmp_path / "none", "audio")
