from __future__ import annotations

import subprocess
import sys

from hp_trt.media.part_file import PartFile


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
