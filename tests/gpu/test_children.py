"""A part is a process: what it leaves when it crashes, hangs or cannot start, and that it steps aside."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from tests.gpu import children
from tests.gpu.examples import child, line


def test_a_part_that_crashes_leaves_what_it_measured_and_names_what_it_was_at(tmp_path, monkeypatch):
    done = line("s", "done", text="1 ms").to_json()
    code = f"tell({done!r}); tell({{'began': ['s', 'deserialise']}}); import os; os.kill(os.getpid(), 11)"
    found = list(child(tmp_path, monkeypatch, code, time.time() + 30).wait())
    assert [(one.name, one.status) for one in found] == [("done", "ok"), ("deserialise", "failed")]
    assert found[1].text.startswith("the process died of SIGSEGV")


def test_a_part_that_cannot_start_says_its_last_words(tmp_path, monkeypatch):
    (found,) = child(tmp_path, monkeypatch, "sys.exit('no such library')", time.time() + 30).wait()
    assert (found.section, found.status) == ("torch", "failed")
    assert found.text == "the process ended with code 1; its last words: no such library"


def test_a_part_that_hangs_is_ended_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "GRACE_S", 0.5)
    code = (
        "import subprocess, time\np = subprocess.Popen(['sleep', '60'])\n"
        "tell({'began': ['s', str(p.pid)]})\ntime.sleep(60)"
    )
    (found,) = child(tmp_path, monkeypatch, code, time.time() + 1.5).wait()
    assert (found.status, found.text) == ("not run", "no time left: its process was ended")
    deadline = time.time() + 5
    while _runs(int(found.name)) and time.time() < deadline:
        time.sleep(0.05)
    assert not _runs(int(found.name))


def _runs(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_lines_that_were_never_begun_are_told_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "GRACE_S", 0.5)
    plan = {"planned": [["build, full", f"tensorrt plan, {graph}"] for graph in ("denoiser", "stitch")]}
    began = {"began": ["build, full", "tensorrt plan, denoiser"]}
    for code, status, left_out in (
        ("time.sleep(60)", "not run", "no time left"),
        ("os.kill(os.getpid(), 9)", "failed", "left out: the process died of SIGKILL before"),
    ):
        script = f"import os, time; tell({plan!r}); tell({began!r}); {code}"
        one = child(tmp_path, monkeypatch, script, time.time() + 1)
        (ended,) = one.wait()
        assert (ended.name, ended.status) == ("tensorrt plan, denoiser", status)
        assert [(line.name, line.text) for line in one.left_out()] == [("tensorrt plan, stitch", left_out)]
        if status == "not run":
            assert 0.5 < ended.seconds < 10  # so long it was at it
        (tmp_path / "1-torch.jsonl").unlink()


def test_what_runs_beside_measurements_steps_aside():
    code = (
        "import os; from tests.gpu.part import step_aside; ours = os.sched_getaffinity(0); step_aside(); import torch; "
        "print(os.nice(0), len(ours), len(os.sched_getaffinity(0)), torch.get_num_threads())"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=children.ROOT, capture_output=True, text=True, check=True)
    nice, ours, cores, threads = map(int, run.stdout.split())
    assert nice == 19 and threads == cores == max(ours - 4, 1)
