"""Files that appear whole: one name each, old or new, nothing left, and nothing replaced that is no plain file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from engines import held
from engines.errors import OutputError
from engines.part_file import PartFile, orphans, sweep_below, whole_file, whole_folder, write_whole
from tests.deep_folders import deep_folders


@pytest.fixture
def final(tmp_path):
    path = tmp_path / "o.mp4"
    path.write_bytes(b"old")
    return path


def holder(path: Path, *, ending: str = "time.sleep(600)") -> subprocess.Popen[str]:
    """A process that has begun `path` and says under which name."""
    program = "import os, signal, sys, time; from pathlib import Path; from engines.part_file import PartFile; "
    program += f"held = PartFile(Path({str(path)!r})); print(held.path, flush=True); {ending}"
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def test_a_file_appears_whole_and_replaces_what_had_its_name(final):
    part = PartFile(final)
    part.path.write_bytes(b"new")
    assert final.read_bytes() == b"old"
    part.commit()
    assert final.read_bytes() == b"new" and list(final.parent.iterdir()) == [final]


def test_a_discarded_file_leaves_what_was_there(final):
    part = PartFile(final)
    part.discard()
    part.discard()
    assert final.read_bytes() == b"old" and list(final.parent.iterdir()) == [final]


def test_two_writers_of_one_process_never_share_a_file_and_the_last_one_wins_whole(final):
    first, second = PartFile(final), PartFile(final)
    with first.path.open("wb") as one, second.path.open("wb") as two:
        one.write(b"first, " * 1000)
        two.write(b"second, " * 1000)
        one.flush()
        first.commit()
        one.write(b"and what comes late")  # into nobody's file but the first one's
        one.flush()
        assert final.read_bytes() == b"first, " * 1000 + b"and what comes late"
        two.flush()
        second.commit()
    assert final.read_bytes() == b"second, " * 1000
    assert list(final.parent.iterdir()) == [final]


def test_what_a_killed_process_left_goes_and_what_a_living_one_holds_stays(tmp_path):
    killed, living = (holder(tmp_path / "o.mp4") for _ in range(2))
    names = [process.stdout.readline().strip() for process in (killed, living)]
    killed.kill()
    killed.wait()
    try:
        assert [str(path) for path in orphans(tmp_path / "o.mp4")] == [names[0]]
        part = PartFile(tmp_path / "o.mp4")
        assert {str(p) for p in tmp_path.iterdir()} == {names[1], str(part.path)}
        part.discard()
    finally:
        living.kill()
        living.wait()


def test_what_an_earlier_version_left_goes_too(tmp_path):
    (tmp_path / ".o.mp4.4711.part").write_bytes(b"half")
    write_whole(tmp_path / "o.mp4", b"new")
    assert os.listdir(tmp_path) == ["o.mp4"]


def test_what_is_precious_unfinished_is_swept_by_nobody_of_its_kind(tmp_path):
    left = tmp_path / ".o.mp4.0123456789abcdef.part"
    left.write_bytes(b"half an hour of somebody's face")
    PartFile(tmp_path / "o.mp4", precious=True).discard()
    assert list(tmp_path.iterdir()) == [left]


def test_where_there_are_no_locks_nothing_is_swept(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(37, "No locks available")

    left = tmp_path / ".o.mp4.0123456789abcdef.part"
    left.write_bytes(b"perhaps somebody's")
    monkeypatch.setattr(held.fcntl, "flock", refused)
    write_whole(tmp_path / "o.mp4", b"new")
    assert left.exists() and (tmp_path / "o.mp4").read_bytes() == b"new"


def test_a_sweeper_that_comes_between_the_making_and_the_lock_takes_nothing_that_is_used(tmp_path, monkeypatch):
    real, swept = os.open, []

    def opened(path, flags, *more, **others):
        handle = real(path, flags, *more, **others)
        if flags & os.O_EXCL and not swept:
            swept.append(path)
            held.remove_left(Path(path))  # as another process would, for which nobody holds it yet
        return handle

    monkeypatch.setattr(os, "open", opened)
    write_whole(tmp_path / "o.mp4", b"new")
    assert swept and os.listdir(tmp_path) == ["o.mp4"] and (tmp_path / "o.mp4").read_bytes() == b"new"


def test_files_of_other_names_and_links_are_nobodys_business(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter").write_bytes(b"dear")
    for name in ("o.mp4.part", ".other.mp4.1.part", ".o.mp4.1.txt", ".o.mp4.x.1.part"):
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / ".o.mp4.0123456789abcdef.part").symlink_to(mine)
    (tmp_path / ".o.mp4.0123456789abcdee.part").symlink_to(mine / "letter")
    before = sorted(os.listdir(tmp_path))
    PartFile(tmp_path / "o.mp4").discard()
    sweep_below(tmp_path / "mine")
    assert sorted(os.listdir(tmp_path)) == before and (mine / "letter").read_bytes() == b"dear"


def test_a_link_is_written_through_and_stays(tmp_path, final):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.mp4"
    link.symlink_to("../o.mp4")
    part = PartFile(link)
    assert part.path.parent == tmp_path
    part.path.write_bytes(b"new")
    part.commit()
    assert link.is_symlink() and final.read_bytes() == b"new" and not final.is_symlink()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (os.mkfifo, "is a pipe, which a file would replace"),
        (os.mkdir, "is a folder; give a file name in it"),
        (lambda path: path.symlink_to("nowhere"), "is a link that leads nowhere"),
        (lambda path: path.symlink_to("/dev/null"), "is a device, which a file would replace"),
        (lambda path: path.symlink_to(path.name), "could not|Too many levels"),
    ],
    ids=["pipe", "folder", "dangling link", "device", "circle"],
)
def test_what_is_no_plain_file_is_never_replaced(tmp_path, make, says):
    path = tmp_path / "o.json"
    make(path)
    before = os.lstat(path)
    with pytest.raises((OutputError, OSError), match=says):
        write_whole(path, b"new")
    assert os.lstat(path).st_ino == before.st_ino and list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_usual_mode_and_a_replaced_one_keeps_its_own(tmp_path, final):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "new", b"")
        final.chmod(0o604)
        write_whole(final, b"new")
    finally:
        os.umask(before)
    assert [os.stat(path).st_mode & 0o777 for path in (tmp_path / "new", final)] == [0o640, 0o604]


def test_a_name_with_a_zero_is_told():
    with pytest.raises(OutputError, match=r"has a zero in it"):
        PartFile(Path("a\0b"))


def test_a_folder_appears_with_all_that_is_in_it_or_not_at_all(tmp_path):
    with whole_folder(tmp_path / "clip") as hidden:
        (hidden / "a.npy").write_bytes(b"a")
        assert not (tmp_path / "clip").exists()
    assert os.listdir(tmp_path / "clip") == ["a.npy"]
    with suppress(KeyError), whole_folder(tmp_path / "other") as hidden:
        (hidden / "a.npy").write_bytes(b"a")
        raise KeyError
    assert os.listdir(tmp_path) == ["clip"]


@pytest.mark.parametrize("where", ["open", "flock"])
def test_a_signal_while_a_file_is_begun_leaves_nothing(tmp_path, where):
    """It comes when the file is there and no line has its name yet."""
    program = f"""
import fcntl, os, signal, sys
from pathlib import Path
from engines.part_file import whole_file
module = {{"open": os, "flock": fcntl}}["{where}"]
real = getattr(module, "{where}")
def then_a_signal(*given, **more):
    done = real(*given, **more)
    if "{where}" == "flock" or given[1] & os.O_EXCL:
        signal.raise_signal(signal.SIGINT)
    return done
setattr(module, "{where}", then_a_signal)
with whole_file(Path(sys.argv[1])):
    pass
"""
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path / "o.mp4")], capture_output=True, text=True)
    assert "KeyboardInterrupt" in ended.stderr and os.listdir(tmp_path) == []


def test_a_child_that_ends_does_not_remove_what_its_parent_writes(final):
    with whole_file(final) as part:
        child = os.fork()
        if child == 0:
            held._remove_begun()  # what an ordinary end of the interpreter calls
            os._exit(0)
        os.waitpid(child, 0)
        part.write_bytes(b"new")
    assert final.read_bytes() == b"new"


def test_a_file_that_is_replaced_again_and_again_is_whole_to_every_reader(final):
    contents = [bytes([number]) * 50_000 for number in range(40)]
    write_whole(final, contents[0])
    seen, done = set(), threading.Event()

    def read() -> bool:
        whole = True
        while not done.is_set():
            found = final.read_bytes()
            seen.add(found[0])
            whole = whole and found in contents
        return whole

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        writers = [pool.submit(lambda some: [write_whole(final, one) for one in some], contents[i::2]) for i in (0, 1)]
        [writer.result() for writer in writers]
        done.set()
        assert all(reader.result() for reader in readers)
    assert len(seen) > 1 and os.listdir(final.parent) == ["o.mp4"]


def test_an_ordinary_end_of_the_process_removes_what_it_has_begun(tmp_path):
    process = holder(tmp_path / "o.mp4", ending="sys.exit(0)")
    process.communicate()
    killed = holder(tmp_path / "p.mp4", ending="os.kill(os.getpid(), signal.SIGKILL)")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert [name.split(".")[1] for name in os.listdir(tmp_path)] == ["p"], "nobody can tidy after kill -9 at once"


def test_sweeping_does_not_follow_folders_without_end(tmp_path):
    (tmp_path / "clips").mkdir()
    left = tmp_path / "clips" / ".a.npy.0123456789abcdef.part"
    left.write_bytes(b"half")
    with deep_folders(tmp_path / "clips"):
        sweep_below(tmp_path)
    assert not left.exists()


def test_a_folder_that_a_sweep_takes_before_it_is_held_gets_another_name(tmp_path, monkeypatch):
    """Two processes in one folder: one sweeps what it takes for left between the other's making and its lock."""
    opened, swept = os.open, []

    def sweeping(path, *how, **more):
        if not swept and str(path).endswith(".part"):
            swept.append(path)
            os.rmdir(path)
        return opened(path, *how, **more)

    monkeypatch.setattr(held.os, "open", sweeping)
    with whole_folder(tmp_path / "made") as hidden:
        (hidden / "file").write_text("whole")
    assert swept and [path.name for path in tmp_path.iterdir()] == ["made"]
