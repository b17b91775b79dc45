"""A check in the background: it outlives the command that starts it, and says how it stands."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from tests.gpu import background, check
from tests.gpu.background import RUNNING, is_running, poll, start

PATIENCE_S = 300  # of a machine that others keep busy


@pytest.fixture
def out(tmp_path):
    yield tmp_path / "out"
    if is_running(tmp_path / "out"):
        os.killpg(json.loads((tmp_path / "out" / "check.pid").read_text())["pid"], signal.SIGKILL)


def test_a_check_is_started_polled_and_ended(out, capsys, monkeypatch):
    """Without a GPU it ends by itself, in the seconds that libraries need to load."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert check.main(["--out", str(out), "--background", "--commit", "abc"]) == 0
    assert f"--out {out} --poll 30" in capsys.readouterr().out
    pid = json.loads((out / "check.pid").read_text())["pid"]
    assert os.getsid(pid) == pid  # a session of its own: what ends ours leaves it alone
    with pytest.raises(RuntimeError, match="is running already; ask for it with --poll"):
        start([], out)
    said, code = poll(out, 0)
    assert code == RUNNING and said.startswith("running")
    os.waitpid(pid, 0)  # ours to bury here; else it is the system's
    assert check.main(["--out", str(out), "--poll", str(PATIENCE_S)]) == 2
    assert "ended after" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert report["finished"] and report["exit_code"] == 2 and report["commit"] == "abc"
    assert "no cuda device to measure on" in (out / "check.log").read_text()


def test_one_that_was_killed_tells_what_it_had(out, monkeypatch):
    start(["--out", str(out), "--device", "cpu", "--sizes", "mini"], out)
    pid = json.loads((out / "check.pid").read_text())["pid"]
    until_s = time.monotonic() + PATIENCE_S
    while "versions" not in poll(out, 0)[0] and time.monotonic() < until_s:
        time.sleep(0.1)
    os.killpg(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    said, code = poll(out, 0)
    assert code == 1 and said.startswith("ended before its time") and "versions: ok" in said


def test_where_none_was_started_that_is_said(tmp_path):
    assert poll(tmp_path, 0) == (f"no check has written into {tmp_path}: none was started", 1)


def test_a_process_of_the_same_number_that_began_later_is_another(tmp_path):
    (tmp_path / "check.pid").write_text(json.dumps({"pid": os.getpid(), "began": background._began(os.getpid())}))
    assert is_running(tmp_path)
    (tmp_path / "check.pid").write_text(json.dumps({"pid": os.getpid(), "began": "1"}))
    assert not is_running(tmp_path)
