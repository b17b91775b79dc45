"""A service in a process of its own, on a port of its own: as it is typed, or over a fake engine.

`python -m tests.hp_trt.apps.service.process STATE JSON` serves a fake: `JSON` has settings of a ServiceConfig, limits
among them, and `frame_s`, how long the fake takes for each of its five frames.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx

ROOT = Path(__file__).parents[4]


class Process:
    """A service that was started, with a client of it. A context manager, which kills it."""

    def __init__(self, state: Path, *, token: str | None = None, command: list[str] | None = None, **settings: Any):
        self._log = state.with_name(f"{state.name}.log").open("ab")
        words = command or ["-m", "tests.hp_trt.apps.service.process", str(state), json.dumps(settings)]
        self.process = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert " at http://" in line, (line, self.errors())
        self.address = line.split(" at ")[1].strip()
        self.port = int(self.address.rpartition(":")[2])
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self.client = httpx.Client(base_url=self.address, headers=headers, timeout=60)

    def errors(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def kill(self, sig: int = signal.SIGKILL) -> None:
        self.process.send_signal(sig)

    def wait(self, timeout_s: float = 30) -> int:
        return self.process.wait(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.client.close()
        self._log.close()

    def upload(self, portrait: bytes, motion: bytes) -> tuple[str, str]:
        made = [
            self.client.post(f"/v1/{kind}", content=body)
            for kind, body in (("portraits", portrait), ("motions", motion))
        ]
        assert all(answer.status_code in (200, 201) for answer in made), [answer.text for answer in made]
        return made[0].json()["id"], made[1].json()["id"]

    def job(self, portrait: str, motion: str, **more: Any) -> dict[str, Any]:
        answer = self.client.post("/v1/jobs", json={"kind": "clip", "portrait": portrait, "motion": motion, **more})
        assert answer.status_code == 202, answer.text
        return answer.json()

    def state_of(self, job: str) -> dict[str, Any]:
        return self.client.get(f"/v1/jobs/{job}").json()

    def until(self, job: str, *states: str, timeout_s: float = 60) -> dict[str, Any]:
        """The job, once it is in one of these states."""
        end_s = time.monotonic() + timeout_s
        while (found := self.state_of(job))["state"] not in states:
            assert time.monotonic() < end_s, found
            time.sleep(0.02)
        return found


def resident_bytes(pid: int) -> int:
    """What a process holds, by the system."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def most_resident_bytes(pid: int) -> int:
    """The most that it ever held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


def main() -> None:
    from hp_trt.apps.service.config import Limits, ServiceConfig
    from hp_trt.apps.service.serve import serve
    from tests.hp_trt.apps.service.fake_engine import Hand

    settings = json.loads(sys.argv[2])
    hand = Hand(frame_s=settings.pop("frame_s", 0.0))
    limits = Limits(**{"free_bytes": 1, **settings.pop("limits", {})})
    if settings.get("tokens"):
        settings["tokens"] = Path(settings["tokens"])
    given = {"bundle": "shipped:pocket", "port": 0} | settings
    serve(ServiceConfig(state=Path(sys.argv[1]), limits=limits, **given), hand.open)


if __name__ == "__main__":
    main()
