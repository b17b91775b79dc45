from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from engines.temporary import temporary_folder

HOLDS = """
import time
from engines.temporary import temporary_folder
with temporary_folder("trying") as folder:
    (folder / "0.npy").write_bytes(b"half")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_a_folder_is_ours_alone_and_goes_with_all_that_is_in_it(place):
    with temporary_folder("trying") as folder:
        (folder / "sub").mkdir()
        assert os.stat(folder).st_mode & 0o777 == 0o700 and folder.parent == place
    assert not os.listdir(place)


def test_what_a_killed_run_left_goes_with_the_next_and_what_a_living_one_uses_stays(place):
    (place / "hp-trt-trying-mine").mkdir()
    (place / "hp-trt-trying-0123456789abcdef").symlink_to(place / "hp-trt-trying-mine")
    (place / "hp-trt-other-0123456789abcdef").mkdir()
    before = set(os.listdir(place))
    killed, living = (
        subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True) for _ in range(2)
    )
    names = [os.path.basename(process.stdout.readline().strip()) for process in (killed, living)]
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    try:
        assert set(os.listdir(place)) == before | set(names)
        with temporary_folder("trying") as own:
            assert set(os.listdir(place)) == before | {names[1], own.name}
    finally:
        living.kill()
        living.wait()
