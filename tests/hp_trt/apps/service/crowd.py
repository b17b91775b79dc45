"""Many clients at once, polite and not, for minutes: `python -m tests.hp_trt.apps.service.crowd`.

They upload, watch, download and delete; they stop in the middle of each, read slowly, and ask for too much. Memory,
threads and files of the process are compared, idle, before the last part of the time and after it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import socket
import statistics
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hp_trt.apps.service.tokens import add_token
from tests.hp_trt.apps.service.conftest import picture, write_video
from tests.hp_trt.apps.service.process import Process, resident_bytes

_TOKENS = 8
_KNOWN = {200, 201, 202, 204, 206, 400, 404, 409, 410, 413, 415, 422, 429}
_WARM = 0.3  # of the time: what libraries keep is kept by then
_SETTINGS: dict[str, Any] = {
    "frame_s": 0.1,
    "clip_lanes": 2,
    # So few are kept that the oldest are forgotten before anything is compared: what is kept would grow until then.
    "limits": {
        "uploads": 16,
        "waiting_per_token": 5,
        "picture_bytes": 100_000,
        "reader_s": 2,
        "body_idle_s": 2,
        "kept_items_per_token": 40,
    },
}


@dataclass
class Found:
    """What the clients saw."""

    answers: Counter[int] = field(default_factory=Counter)
    waits_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)


def run(folder: Path, *, clients: int, seconds: float, seed: int = 0) -> Found:
    """So many clients for so long."""
    found, tokens = Found(), [add_token(folder / "tokens", f"t{number}") for number in range(_TOKENS)]
    video = write_video(folder / "v.mp4", 5).read_bytes()
    with Process(folder / "state", tokens=str(folder / "tokens"), **_SETTINGS) as service:
        for share in (_WARM, 1 - _WARM):
            found.before, found.waits_s = found.after, []  # the queue is full by now
            stop = threading.Event()
            threads = [
                threading.Thread(
                    target=_Client(service.port, tokens[n % _TOKENS], video, found, f"{seed} {n} {share}").run,
                    args=(stop,),
                )
                for n in range(clients)
            ]
            for thread in threads:
                thread.start()
            time.sleep(seconds * share)
            stop.set()
            for thread in threads:
                thread.join()
            found.after = _idle(service)
        found.wrong += _compared(found)
        service.client.close()
        if "Traceback" in service.errors() or '"level": "error"' in service.errors():
            lines = service.errors().splitlines()
            found.wrong.append(next(line for line in lines if "Traceback" in line or '"level": "error"' in line)[:3000])
    found.wrong += [f"{path} was left" for path in (folder / "state" / "incoming").iterdir()]
    return found


def _idle(service: Process) -> dict[str, int]:
    """What the process holds once all jobs have ended and all sockets are closed."""
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s:
        metrics = service.client.get("/metrics").text
        if 'hp_trt_lanes{kind="clip",state="busy"} 0.0' in metrics and _sockets(service) <= 3:
            time.sleep(1)
            break
        time.sleep(0.2)
    pid = service.process.pid
    return {
        "bytes": resident_bytes(pid),
        "threads": len(os.listdir(f"/proc/{pid}/task")),
        "files": len(os.listdir(f"/proc/{pid}/fd")),
    }


def _sockets(service: Process) -> int:
    links = []
    for entry in os.scandir(f"/proc/{service.process.pid}/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(entry.path))
    return sum(link.startswith("socket:") for link in links)


def _compared(found: Found) -> list[str]:
    wrong = []
    if found.after["bytes"] > 1.05 * found.before["bytes"]:
        wrong.append(f"memory: {found.before['bytes'] / 1e6:.1f} MB became {found.after['bytes'] / 1e6:.1f} MB")
    if found.after["threads"] > found.before["threads"] or found.after["files"] > found.before["files"] + 2:
        wrong.append(f"threads or files were left: {found.before} became {found.after}")
    if strange := set(found.answers) - _KNOWN:
        wrong.append(f"answers that nobody expects: {strange}")
    if not found.answers[429]:
        wrong.append("nobody was told that it is full")
    if len(found.waits_s) > 20 and max(found.waits_s) > 3 * statistics.median(found.waits_s):
        wrong.append(f"the longest wait is {max(found.waits_s):.1f} s, the median {statistics.median(found.waits_s)}")
    return wrong


class _Client:
    """One of them; what it does next is chance's."""

    def __init__(self, port: int, token: str, video: bytes, found: Found, seed: str) -> None:
        self._port, self._video, self._found, self._rng = port, video, found, random.Random(seed)
        self._headers = {"Authorization": f"Bearer {token}", "Host": f"127.0.0.1:{port}"}
        self._jobs: list[str] = []

    def run(self, stop: threading.Event) -> None:
        doing = [self._whole_job] * 4 + [self._cut_upload, self._left_events, self._left_result, self._slow_reader]
        doing += [self._cancelled, self._deleted, self._nonsense, self._asked_and_left]
        while not stop.is_set():
            try:
                self._rng.choice(doing)(stop)
            except (OSError, http.client.HTTPException, json.JSONDecodeError, KeyError, IndexError):
                continue
            stop.wait(self._rng.uniform(0, 0.3))

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "image/png") -> tuple[int, bytes]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            connection.request(method, path, body, self._headers | {"Content-Type": kind})
            answer = connection.getresponse()
            content = answer.read()
            self._found.answers[answer.status] += 1
            if answer.status == 429:
                time.sleep(self._rng.uniform(0, int(answer.headers["Retry-After"]) / 4))  # as told, but impatiently
            if answer.status >= 500:
                self._found.wrong.append(f"{method} {path}: {answer.status} {content[:300]!r}")
            return answer.status, content

    def _socket(self, request: bytes) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self._port), timeout=20)
        lines = "".join(f"{name}: {value}\r\n" for name, value in self._headers.items()).encode()
        made.sendall(request + b" HTTP/1.1\r\n" + lines)
        return made

    def _new_job(self) -> str:
        portrait = json.loads(self._ask("POST", "/v1/portraits", picture(self._rng.randrange(1, 100)))[1])["id"]
        motion = json.loads(self._ask("POST", "/v1/motions", self._video)[1])["id"]
        body = json.dumps({"kind": "clip", "portrait": portrait, "motion": motion}).encode()
        job = json.loads(self._ask("POST", "/v1/jobs", body, "application/json")[1])["id"]
        self._jobs.append(job)
        return job

    def _whole_job(self, stop: threading.Event) -> None:
        job = self._new_job()
        status, events = self._ask("GET", f"/v1/jobs/{job}/events")
        said = json.loads(self._ask("GET", f"/v1/jobs/{job}")[1])
        if said["state"] != "done" or status != 200 or b"event: result" not in events:
            self._found.wrong.append(f"{job}: {said['state']} {events[-300:]!r}")
            return
        self._found.waits_s.append(said["started_s"] - said["created_s"])
        result = self._ask("GET", f"/v1/jobs/{job}/result")[1]
        if len(result) != 5000:
            self._found.wrong.append(f"{job}: a result of {len(result)} bytes")

    def _cut_upload(self, stop: threading.Event) -> None:
        with self._socket(b"POST /v1/portraits") as made:
            made.sendall(b"Content-Length: 90000\r\n\r\n" + bytes(self._rng.randrange(80_000)))
            if self._rng.random() < 0.2:
                stop.wait(3)  # one that only stops

    def _left_events(self, stop: threading.Event) -> None:
        with self._socket(f"GET /v1/jobs/{self._new_job()}/events".encode()) as made:
            made.sendall(b"\r\n")
            for _ in range(self._rng.randrange(4)):
                made.recv(200)

    def _left_result(self, stop: threading.Event) -> None:
        with self._socket(f"GET /v1/jobs/{self._rng.choice(self._jobs)}/result".encode()) as made:
            made.sendall(b"\r\n")
            made.recv(self._rng.randrange(1, 2000))

    def _slow_reader(self, stop: threading.Event) -> None:
        with self._socket(f"GET /v1/jobs/{self._rng.choice(self._jobs)}/result".encode()) as made:
            made.sendall(b"\r\n")
            for _ in range(20):
                made.recv(1)
                stop.wait(0.05)

    def _cancelled(self, stop: threading.Event) -> None:
        self._ask("DELETE", f"/v1/jobs/{self._new_job()}")

    def _deleted(self, stop: threading.Event) -> None:
        portrait = json.loads(self._ask("POST", "/v1/portraits", picture(self._rng.randrange(1, 100)))[1])["id"]
        self._ask("DELETE", f"/v1/portraits/{portrait}")

    def _nonsense(self, stop: threading.Event) -> None:
        self._ask("POST", "/v1/motions", self._rng.randbytes(500))
        self._ask("POST", "/v1/portraits", bytes(100_001))
        self._ask("POST", "/v1/jobs", self._rng.randbytes(50), "application/json")

    def _asked_and_left(self, stop: threading.Event) -> None:
        with self._socket(self._rng.choice((b"GET /v1/jobs", b"GET /metrics", b"POST /v1/jobs", b"GET /"))) as made:
            if self._rng.random() < 0.5:
                made.sendall(b"\r\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), clients=options.clients, seconds=60 * options.minutes, seed=options.seed)
    print(f"{sum(found.answers.values())} answers: {dict(sorted(found.answers.items()))}")
    if found.waits_s:
        middle, most = statistics.median(found.waits_s), max(found.waits_s)
        print(f"{len(found.waits_s)} waits: median {middle:.2f} s, longest {most:.2f} s")
    print(f"before {found.before}, after {found.after}")
    print(*found.wrong[:20], sep="\n")
    if found.wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
