"""Where an output may go, told before the work; and what a disk refuses."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from engines.errors import DiskError, InputError, OutputError
from engines.safe_output import check_folder, check_outputs, refusal, safe_output
from tests.deep_folders import deep_folders


@pytest.fixture
def bundle(tmp_path):
    """A folder that is read, with a file two folders down."""
    (tmp_path / "b" / "onnx").mkdir(parents=True)
    (tmp_path / "b" / "onnx" / "a.onnx").write_bytes(b"graph")
    return tmp_path / "b"


def check(out: Path, bundle: Path) -> None:
    check_outputs({"the result": out}, {"the bundle": bundle, "nothing": None})


@pytest.mark.parametrize(
    "name",
    ["b/x.json", "b/onnx/a.onnx", "b/onnx/new", "b/.build", "c/../b/x", "link/x", "b/../link/onnx/x", "to_a", "hard_a"],
)
def test_nothing_is_written_into_a_folder_that_is_read_by_whatever_name(tmp_path, bundle, name):
    (tmp_path / "c").mkdir()
    (tmp_path / "link").symlink_to(bundle)
    (tmp_path / "to_a").symlink_to(bundle / "onnx" / "a.onnx")
    (tmp_path / "hard_a").hardlink_to(bundle / "onnx" / "a.onnx")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="which is the bundle; write the result somewhere else"):
        check(tmp_path / name, bundle)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_a_link_in_a_folder_that_is_read_leads_to_is_read_too(tmp_path, bundle):
    (tmp_path / "d.mp4").write_bytes(b"driving")
    (bundle / "driving.mp4").symlink_to(tmp_path / "d.mp4")
    (bundle / "back").symlink_to(bundle)  # a circle ends
    with pytest.raises(InputError, match="lies in"):
        check(tmp_path / "d.mp4", bundle)
    check(tmp_path / "e.mp4", bundle)


def test_folders_without_end_are_read_without_end(tmp_path, bundle):
    (tmp_path / "mine.mp4").write_bytes(b"mine")
    with deep_folders(bundle):
        check(tmp_path / "mine.mp4", bundle)
        os.link(tmp_path / "mine.mp4", bundle / "hard.mp4")
        with pytest.raises(InputError, match="lies in"):
            check(tmp_path / "mine.mp4", bundle)


def test_beside_what_is_read_there_is_room(tmp_path, bundle):
    (tmp_path / "old").write_bytes(b"an earlier result")
    for name in ("b.json", "bb", "old"):
        check(tmp_path / name, bundle)
    assert (tmp_path / "old").read_bytes() == b"an earlier result"


@pytest.mark.parametrize("other", ["a.mp4", "./a.mp4", "A.MP4", "link/a.mp4", "hard.mp4"])
def test_two_outputs_are_never_one_file(tmp_path, other):
    (tmp_path / "link").symlink_to(tmp_path)
    if other == "hard.mp4":
        (tmp_path / "a.mp4").write_bytes(b"")
        (tmp_path / other).hardlink_to(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="the result and the crop would be one file"):
        check_outputs({"the result": tmp_path / "a.mp4", "the crop": tmp_path / other}, {})


@pytest.mark.parametrize(
    ("make", "name", "says"),
    [
        (os.mkfifo, "x", "is a pipe"),
        (os.mkdir, "x", "is a folder; give a file name in it"),
        (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "x", "is a socket"),
        (lambda path: path.symlink_to("/dev/full"), "x", "is a device"),
        (lambda path: path.symlink_to("gone"), "x", "is a link that leads nowhere"),
        (lambda path: path.write_bytes(b""), "x/y", "could not be written: Not a directory; a part of its path is a"),
        (None, "no/such/x", "is no folder; make it first"),
        (None, "x" * 231, "is too long for a file's name"),
        (None, "x" * 256, "is too long for a file's name"),
        (None, "a\0b", "has a zero in it"),
        (None, "\udcff.mp4", "is no UTF-8"),
        (None, "", "is a folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_told_before_the_work(tmp_path, monkeypatch, make, name, says):
    monkeypatch.chdir(tmp_path)
    if make:
        make(tmp_path / "x")
    with pytest.raises(OutputError, match=says):
        check_outputs({"the result": tmp_path / name}, {})
    assert os.listdir(tmp_path) == (["x"] if make else [])


@pytest.mark.parametrize("name", ["", "."])
def test_an_empty_name_is_no_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="names no file"):
        check_outputs({"the report": Path(name)}, {})


def test_a_read_only_disk_is_told_before_the_work(tmp_path, monkeypatch):
    real = os.open

    def read_only(path, flags, *more, **others):
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real(path, flags, *more, **others)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(OutputError, match="Read-only file system; the file system is read-only: write somewhere else"):
        check_outputs({"the report": tmp_path / "r.json"}, {})


def test_a_folder_that_is_filled_lies_in_no_input_and_none_in_it_where_that_matters(tmp_path, bundle):
    (tmp_path / "w.pth").write_bytes(b"")
    check_folder(tmp_path / "new", {"the weights": tmp_path / "w.pth"}, apart=True)
    check_folder(tmp_path, {"the weights": tmp_path / "w.pth"})
    with pytest.raises(InputError, match=r"w\.pth lies in .*, which is the folder to write"):
        check_folder(tmp_path, {"the weights": tmp_path / "w.pth"}, apart=True)
    for folder in (bundle, bundle / "new"):
        with pytest.raises(InputError, match=r"which is the weights|is the weights itself"):
            check_folder(folder, {"the weights": bundle})
    with pytest.raises(OutputError, match="is a file; a folder is needed"):
        check_folder(tmp_path / "w.pth", {})


@pytest.mark.parametrize(
    ("number", "kind", "code", "says"),
    [
        (errno.ENOSPC, OutputError, 2, "No space left on device; free some space"),
        (errno.EDQUOT, OutputError, 2, "the disk quota is used up"),
        (errno.EACCES, OutputError, 2, "it is not writable: change the permissions"),
        (errno.EROFS, OutputError, 2, "the file system is read-only"),
        (errno.EIO, DiskError, 1, "Input/output error; the disk fails, or the connection to it"),
        (errno.ESTALE, DiskError, 1, "Stale file handle; the disk fails, or the connection to it"),
    ],
)
def test_an_error_says_whose_turn_it_is(number, kind, code, says):
    error = refusal("o.json", OSError(number, os.strerror(number)), left="Nothing was lost")
    assert type(error) is kind and error.exit_code == code
    assert says in str(error) and str(error).endswith(". Nothing was lost")


def test_what_fails_in_the_block_leaves_what_was_there(tmp_path):
    (tmp_path / "o").write_bytes(b"old")

    def fail() -> None:
        with safe_output(tmp_path / "o") as part:
            part.write_bytes(b"half")
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(DiskError, match="o could not be written"):
        fail()
    assert (tmp_path / "o").read_bytes() == b"old" and os.listdir(tmp_path) == ["o"]
