from __future__ import annotations

import subprocess
import sys

from hp_trt.media.part_file import PartFile, same_file


def test_a_file_appears_whole_and_replaces_what_had_its_name(tmp_path):
    final = tmp_path / "o.mp4"
    final.write_bytes(b"old")
    part = PartFile(final)
    part.path.write_bytes(b"new")
    assert final.read_bytes() == b"old"
    part.commit()
    assert final.read_bytes() == b"new" and list(tmp_path.iterdir()) == [final]


def test_a_discarded_file_leaves_what_was_there(tmp_path):
    final = tmp_path / "o.mp4"
    final.write_bytes(b"old")
    part = PartFile(final)
    part.discard()
    part.discard()
    assert final.read_bytes() == b"old" and list(tmp_path.iterdir()) == [final]


def test_what_a_killed_process_left_goes_and_what_a_living_one_holds_stays(tmp_path):
    program = "import sys, time; from pathlib import Path; from hp_trt.media.part_file import PartFile; "
    program += f"held = PartFile(Path({str(tmp_path / 'o.mp4')!r})); print(held.path, flush=True); time.sleep(600)"
    killed, living = (
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)
    )
    names = [process.stdout.readline().strip() for process in (killed, living)]
    killed.kill()
    killed.wait()
    try:
        part = PartFile(tmp_path / "o.mp4")
        assert {str(p) for p in tmp_path.iterdir()} == {names[1], str(part.path)}
    finally:
        living.kill()
        living.wait()


def test_files_of_other_names_are_nobodys_business(tmp_path):
    for name in ("o.mp4.part", ".other.mp4.1.part", ".o.mp4.1.txt"):
        (tmp_path / name).write_bytes(b"mine")
    PartFile(tmp_path / "o.mp4").discard()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_file_is_the_same_by_every_name_that_leads_to_it(tmp_path, monkeypatch):
    file, other = tmp_path / "a.mp4", tmp_path / "b.mp4"
    for path in (file, other):
        path.write_bytes(b"alike")
    (tmp_path / "link.mp4").symlink_to(file)
    (tmp_path / "hard.mp4").hardlink_to(file)
    (tmp_path / "folder").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = ("a.mp4", "link.mp4", "hard.mp4", "folder/a.mp4")
    assert [same_file(file, name) for name in names] == [same_file(name, file) for name in names] == [True] * 4
    assert not same_file(file, other)


def test_a_file_that_is_missing_is_no_other(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    (tmp_path / "dead.mp4").symlink_to(tmp_path / "none.mp4")
    assert not same_file(tmp_path / "a.mp4", tmp_path / "none.mp4")
    assert not same_file(tmp_path / "none.mp4", tmp_path / "none.mp4")
    assert not same_file(tmp_path / "dead.mp4", tmp_path / "a.mp4")
