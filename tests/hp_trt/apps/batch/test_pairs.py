"""Who is moved by what, and what each clip is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import InputError
from hp_trt.apps.batch.media_folder import MediaFolder
from hp_trt.apps.batch.pairs import clip_name, every_pair, read_pairs


def folder(*names: str) -> MediaFolder:
    return MediaFolder(folder=Path(), files=tuple(map(Path, names)))


def test_every_portrait_goes_with_every_driver_a_portraits_clips_in_a_row():
    found = every_pair(folder("a.png", "b.jpg"), folder("x.mp4", "y.mov"))
    assert [pair.out for pair in found] == ["a-x.mp4", "a-y.mp4", "b-x.mp4", "b-y.mp4"]


def test_encoded_files_are_called_by_what_they_are_of():
    assert clip_name(Path("me.portrait.safetensors"), Path("talk.motion.safetensors")) == "me-talk.mp4"
    assert clip_name(Path("v1.2.png"), Path("a.b.mp4")) == "v1.2-a.b.mp4"


@pytest.mark.parametrize(
    ("portraits", "drivers"),
    [(("a.png", "a.jpg"), ("x.mp4",)), (("a.png", "A.png"), ("x.mp4",)), (("a.png", "a-b.png"), ("b-c.mp4", "c.mp4"))],
)
def test_the_same_output_twice_is_refused_and_both_are_named(portraits, drivers):
    with pytest.raises(InputError, match=r"would be two clips: of a.png by .* and of .*; rename a file, or name each"):
        every_pair(folder(*portraits), folder(*drivers))


def test_more_pairs_than_anybody_waits_for_are_refused():
    many = folder(*(f"{number}.png" for number in range(400)))
    with pytest.raises(InputError, match="400 portraits with 400 drivers are 160000 clips, at most 100000"):
        every_pair(many, many)


@pytest.fixture
def table(tmp_path):
    """Writes the table beside a.png, b.png and x.mp4."""
    for name in ("a.png", "b.png", "x.mp4"):
        (tmp_path / name).touch()

    def write(text: str | bytes) -> Path:
        path = tmp_path / "pairs.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_table_has_names_options_and_a_portraits_clips_in_a_row(table):
    rows = 'a.png,x.mp4,,,\n"b.png",x.mp4,B.mov,7,\n\na.png,x.mp4,second.mkv,,happy\n'
    text = f"\ufeffportrait, driving ,out,seed,mood\n{rows}"
    pairs, driver = read_pairs(table(text), None, None)
    assert driver == "driving"
    assert [(pair.out, pair.options) for pair in pairs] == [
        ("a-x.mp4", {}), ("second.mkv", {"mood": "happy"}), ("B.mov", {"seed": 7}),
    ]  # fmt: skip
    assert pairs[0].portrait.is_file() and pairs[0].driver.is_file()


def test_names_are_looked_up_in_the_folders_that_are_given(table, tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "c.png").touch()
    pairs, driver = read_pairs(table("portrait,audio\nc.png,x.mp4\n"), tmp_path / "p", tmp_path)
    assert driver == "audio" and pairs[0].portrait == tmp_path / "p" / "c.png"


def test_missing_files_are_refused_at_once_and_listed(table):
    rows = "".join(f"a.png,gone{number}.mp4\n" for number in range(6))
    with pytest.raises(InputError) as error:
        read_pairs(table(f"portrait,driving\na.png,x.mp4\n{rows}none.png,x.mp4\n"), None, None)
    said = str(error.value)
    assert "names 7 files that are not there: line 3: gone0.mp4, line 4: gone1.mp4" in said and "and 3 more" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has the columns none; its first line names them"),
        ("portrait\na.png\n", "one of driving and audio"),
        ("portrait,driving,audio\na.png,x.mp4,x.mp4\n", "has the columns 'portrait, driving, audio'"),
        ("portrait,driving,colour\na.png,x.mp4,red\n", "colour'; its first line names them"),
        ("portrait,driving,driving\na.png,x.mp4,x.mp4\n", "has the columns"),
        ("portrait,driving\n", "has no row below its names"),
        ("portrait,driving\na.png\n", "line 2 names no driving"),
        ("portrait,driving\na.png,x.mp4,more\n", "line 2 has more cells than names"),
        ('portrait,driving\n"a.png,x.mp4\n', "is no CSV"),
        ("portrait,driving,out\na.png,x.mp4,../o.mp4\n", "line 2: out is '../o.mp4', needed is a name without folders"),
        ("portrait,driving,out\na.png,x.mp4,.o.mp4\n", "needed is a name without folders"),
        ("portrait,driving,out\na.png,x.mp4,o.gif\n", "that ends in .mp4, .mov, .mkv"),
        ("portrait,driving,seed\na.png,x.mp4,-1\n", "seed is '-1', needed is a whole number from 0"),
        ("portrait,driving,seed\na.png,x.mp4," + "9" * 5000 + "\n", "needed is a whole number from 0"),
        ("portrait,driving\na.png,x.mp4\na.png,x.mp4\n", "a-x.mp4 would be two clips"),
        (b"\xff\xfeportrait", "give a CSV file in UTF-8"),
    ],
)  # fmt: skip
def test_what_is_no_such_table_says_why(table, text, says):
    with pytest.raises(InputError) as error:
        read_pairs(table(text), None, None)
    assert says in str(error.value)
