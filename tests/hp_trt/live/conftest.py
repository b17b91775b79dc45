from __future__ import annotations

import json
import threading

import pytest

from hp_trt.console import Reporter
from hp_trt.live.run import LiveConfig, run_live
from tests.hp_trt.live.fake_session import FakeSession


class Ran:
    """How a run ended: `outcome` or `error`, the result's facts and the notes."""

    def __init__(self, outcome, error, events, session):
        self.outcome, self.error, self.session = outcome, error, session
        self.result = next((e for e in events if e["event"] == "result"), {})
        self.notes = [e["text"] for e in events if e["event"] == "note"]
        self.status = [e for e in events if e["event"] == "status"]


@pytest.fixture
def live(capsys):
    """Runs a source into a sink through a fake session, at a fast pace unless told; every thread must end."""

    def run(driving, out, *, session=None, stdout_fd=1, **options):
        session = session or FakeSession()
        before = set(threading.enumerate())
        outcome = error = None
        capsys.readouterr()
        try:
            config = LiveConfig(driving=str(driving), out=str(out), **({"pace": "fast"} | options))
            outcome = run_live(config, session.open, Reporter(as_json=True, bars=False), stdout_fd=stdout_fd)
        except Exception as caught:
            error = caught
        assert set(threading.enumerate()) <= before
        events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return Ran(outcome, error, events, session)

    return run
