"""A check that outlives the command that starts it: begun in a session of its own, then asked how it stands.

A machine may be reached by short commands alone. The first starts the check and returns; the later ones bring what is
missing, and ask. `OUT/check.log` has what the check prints, `OUT/check.pid` whose it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

RUNNING = 3  # exit code of a poll while the check goes on
LOOK_EVERY_S = 0.2
_SHOWN = 8  # of the last lines


def start(arguments: Sequence[str], out: Path) -> str:
    """Begin `python -m tests.gpu.check` with these arguments, and say how to ask for it.

    Raises RuntimeError where one runs already that writes into `out`.
    """
    if is_running(out):
        raise RuntimeError(f"a check that writes into {out} is running already; ask for it with --poll")
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").unlink(missing_ok=True)  # an earlier check's is not this one's
    with (out / "check.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.gpu.check", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (out / "check.pid").write_text(json.dumps({"pid": process.pid, "began": _began(process.pid)}))
    return f"started, process {process.pid}; python -m tests.gpu.check --out {out} --poll 30 says how it stands"


def is_running(out: Path) -> bool:
    """Whether the check that was started last for `out` goes on. A number that another process has now is not it."""
    try:
        known = json.loads((out / "check.pid").read_text())
        return bool(known["began"] and _began(known["pid"]) == known["began"])
    except (OSError, ValueError, KeyError):
        return False


def poll(out: Path, wait_s: float) -> tuple[str, int]:
    """How it stands, and an exit code: the check's own once it has ended, else `RUNNING`. Waits so long for its end."""
    until_s = time.monotonic() + wait_s
    while (running := is_running(out)) and time.monotonic() < until_s:
        time.sleep(LOOK_EVERY_S)
    try:
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        if running:
            return "running, nothing was measured yet", RUNNING
        return f"no check has written into {out}: {_log(out) or 'none was started'}", 1
    lines = report["lines"]
    shown = [f"  {one['section']}: {one['name']}: {one['status']}: {one['text']}" for one in lines[-_SHOWN:]]
    state = "running" if running else ("ended" if report["finished"] else "ended before its time")
    said = [f"{state} after {report['seconds']:.0f} s, {len(lines)} lines; the last ones:", *shown]
    if running:
        return "\n".join(said), RUNNING
    if not report["finished"]:
        said.append(_log(out))
    return "\n".join(said), report["exit_code"] if report["finished"] else 1


def _log(out: Path) -> str:
    """What it printed last."""
    try:
        return "\n".join((out / "check.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:])
    except OSError:
        return ""


def _began(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty where it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in ("Z", "X") else fields[18]
