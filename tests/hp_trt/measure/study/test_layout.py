from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from engines.errors import InputError
from hp_trt.measure.study.layout import read_clips
from tests.hp_trt.measure.study.clips import COLOURS, make_coloured


def test_every_contender_has_every_item_in_the_order_of_their_names(clips):
    (clips / "live" / "anna.mp4.json").write_text("{}")  # what lies beside a result
    (clips / ".hidden").mkdir()
    (clips / "notes.txt").write_text("mine")
    found = read_clips(clips)
    assert found.contenders == ["exact", "live"] and not found.notes
    assert [(item.name, item.speech) for item in found.items] == [("anna", False), ("ben", True)]
    assert found.items[1].results == {name: clips / name / "ben.mp4" for name in ("exact", "live")}


def test_a_fingerprint_is_of_names_and_bytes_and_not_of_where_they_lie(clips, made_clips):
    first = read_clips(clips).fingerprint()
    assert first == read_clips(made_clips).fingerprint()
    (clips / "live").rename(clips / "later")
    renamed = read_clips(clips).fingerprint()
    make_coloured(clips / "later" / "anna.mp4", (1, 2, 3))
    assert len({first, renamed, read_clips(clips).fingerprint()}) == 3


def remove(*names: str):
    def spoil(clips: Path) -> None:
        for name in names:
            path = clips / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def write(name: str, data: bytes):
    return lambda clips: (clips / name).write_bytes(data)


def rename(old: str, new: str):
    return lambda clips: (clips / old).rename(clips / new)


SPOILT = {
    "no contender": (remove("exact", "live"), "has no contender, and a study compares at least two"),
    "one contender": (remove("live"), "has the one contender exact, and a study compares at least two"),
    "no source": (remove("source"), "has no source/; needed is one with source/NAME.png"),
    "neither": (remove("source", "driving"), "has no source/ and no driving/"),
    "nothing in it": (
        lambda clips: [path.unlink() for path in clips.glob("*/*")],
        "has no clips; needed is one with source/NAME.png",
    ),
    "a result missing": (remove("live/ben.mp4"), "has no live/ben (in source .png"),
    "a driver missing": (remove("driving/anna.mp4"), "has no driving/anna (in source"),
    "a source of another ending": (rename("source/anna.png", "source/anna.tif"), "has no source/anna"),
    "a result too many": (
        lambda clips: shutil.copy(clips / "live" / "ben.mp4", clips / "live" / "zoe.mp4"),
        "has no driving/zoe, exact/zoe, source/zoe",
    ),
    "two drivers": (
        lambda clips: shutil.copy(clips / "driving" / "anna.mp4", clips / "driving" / "anna.mov"),
        "driving has anna.mov and anna.mp4; needed is one of them",
    ),
    "another case of letters": (rename("live/ben.mp4", "live/Ben.mp4"), "has no driving/Ben, exact/Ben, live/ben"),
    "a name that a spreadsheet runs": (rename("live", "=cmd()"), "'=cmd()' cannot be the name of a contender"),
    "a name that begins as an option": (rename("live", "-live"), "'-live' cannot be the name of a contender"),
    "a clip of such a name": (
        lambda clips: [path.rename(path.with_name(f"@{path.name}")) for path in clips.glob("*/anna.*")],
        "'@anna' cannot be the name of a clip",
    ),
    "a name of many lines": (rename("live", "li\nve"), "cannot be the name of a contender"),
    "a name that is nearly ours": (rename("live", "Source"), "'Source' is nearly 'source', which is no contender"),
    "a source that is none": (write("source/anna.png", b"no"), "anna.png"),
    "a result that is none": (write("live/anna.mp4", b"not a video at all"), "live/anna.mp4 is no video"),
    "a result that lists files": (write("live/anna.mp4", b"ffconcat version 1.0\nfile x"), "is a list of other files"),
    "a driver without sound": (write("driving/ben.wav", b"RIFF"), "driving/ben.wav"),
    "a result of another length": (
        lambda clips: make_coloured(clips / "live" / "anna.mp4", COLOURS["live"], frames=60),
        "exact/anna.mp4 lasts 0.3 s and",
    ),
    "a driver of another length": (
        lambda clips: make_coloured(clips / "driving" / "anna.mp4", COLOURS["live"], frames=60),
        "driving/anna.mp4 2.4 s; they are compared side by side, and may differ by 1 s",
    ),
    "a result that browsers do not show": (
        lambda clips: make_coloured(clips / "live" / "anna.mp4", COLOURS["live"], pixels="yuv444p"),
        "is h264 in yuv444p, and a result is shown as it is",
    ),
    "a result of another codec": (
        lambda clips: make_coloured(clips / "live" / "anna.mp4", COLOURS["live"], codec="mpeg4"),
        "is mpeg4 in yuv420p, and a result is shown as it is",
    ),
    "a pipe": (
        lambda clips: ((clips / "live" / "ben.mp4").unlink(), os.mkfifo(clips / "live" / "ben.mp4")),
        "live/ben.mp4",
    ),
    "a link to nowhere": (
        lambda clips: ((clips / "source" / "ben.png").unlink(), (clips / "source" / "ben.png").symlink_to("no")),
        "source/ben.png",
    ),
    "a folder for a clip": (
        lambda clips: ((clips / "live" / "ben.mp4").unlink(), (clips / "live" / "ben.mp4").mkdir()),
        "live/ben.mp4",
    ),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_what_is_missing_odd_or_unequal_is_told(clips, fault):
    spoil, says = SPOILT[fault]
    spoil(clips)
    with pytest.raises(InputError) as error:
        read_clips(clips)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_what_is_no_folder_says_what_is_needed(tmp_path):
    with pytest.raises(InputError, match=r"nowhere is no folder; needed is one with source/NAME\.png"):
        read_clips(tmp_path / "nowhere")


def test_more_results_than_anybody_grades_are_refused_before_one_is_opened(tmp_path):
    for name in ("source", "driving", "a", "b", "c", "d", "e"):
        (tmp_path / name).mkdir()
    for number in range(401):
        (tmp_path / "a" / f"{number}.mp4").touch()
    with pytest.raises(InputError, match="has 401 clips of 5 contenders, which no rater grades"):
        read_clips(tmp_path)


def test_results_that_raters_could_tell_apart_by_their_size_are_told(clips):
    make_coloured(clips / "live" / "anna.mp4", COLOURS["live"], size=(64, 24))
    (note,) = read_clips(clips).notes
    assert note.startswith("the results of anna have different sizes (exact 32 x 24, live 64 x 24)")
