"""What is handed out is what was hashed, whatever happens to the file meanwhile."""

from __future__ import annotations

import hashlib
import threading

import pytest

from engines import checked_files
from engines.checked_files import ahead, check_files, read_checked
from engines.errors import BundleError
from engines.file_record import FileRecord

CONTENT = bytes(range(256)) * 5000


def record_of(content: bytes) -> FileRecord:
    return FileRecord(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "unet.plan"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("piece", [1000, 4 << 20])
def test_a_file_is_read_as_it_was_recorded(file, monkeypatch, piece):
    monkeypatch.setattr(checked_files, "_PIECE", piece)
    assert read_checked(file, record_of(CONTENT), "mend") == CONTENT


def test_writing_into_the_file_afterwards_changes_nothing_of_what_was_read(file):
    """Of a mapped file it would."""
    read = read_checked(file, record_of(CONTENT), "mend")
    with file.open("r+b") as stream:
        stream.write(b"another plan")
    assert bytes(read) == CONTENT


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (CONTENT[:-1] + b"x", "sha256 "),
        (CONTENT[:-1], "1279999 bytes, needed 1280000"),
        (CONTENT + b"x", "1280001 bytes, needed 1280000"),
        (b"", "0 bytes, needed 1280000"),
    ],
)
def test_another_content_is_refused_with_the_command_that_mends_it(file, content, says):
    file.write_bytes(content)
    with pytest.raises(BundleError, match=rf"unet\.plan was changed: {says}.*; mend"):
        read_checked(file, record_of(CONTENT), "mend")


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BundleError, match=r"none\.plan cannot be read: No such file"):
        read_checked(tmp_path / "none.plan", record_of(CONTENT), "mend")


def test_several_files_are_hashed_and_the_first_wrong_one_is_told(tmp_path):
    for name in "abcd":
        (tmp_path / name).write_bytes(name.encode())
    right = {name: (record_of(name.encode()), f"mend {name}") for name in "abcd"}
    check_files(tmp_path, right)
    check_files(tmp_path, {})
    (tmp_path / "b").write_bytes(b"x")
    (tmp_path / "d").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"b was changed: sha256 .*; mend b"):
        check_files(tmp_path, right)


def test_the_next_is_read_while_this_one_is_used_and_no_more_than_that():
    read, third = [], threading.Event()

    def slowly(item):
        read.append(item)
        if item == 2:
            third.set()
        return memoryview(bytes([item]))

    for item, content in ahead(range(4), slowly):
        assert bytes(content) == bytes([item])
        if item == 1:
            assert third.wait(20)
            assert read == [0, 1, 2]
    assert read == [0, 1, 2, 3]


def test_what_reading_raises_is_raised_in_its_turn():
    def fails(item):
        if item == 1:
            raise BundleError("changed")
        return memoryview(b"")

    read = ahead(range(3), fails)
    assert next(read)[0] == 0
    with pytest.raises(BundleError, match="changed"):
        next(read)
