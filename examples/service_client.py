"""A clip from the service: upload, ask, hear of its progress, take the result. Python's standard library alone.

    python examples/service_client.py ADDRESS PORTRAIT MOTION OUT [--token TOKEN]

ADDRESS is where `hp-trt serve` listens, as http://127.0.0.1:7860. MOTION is a driving video or, where the service's
bundle speaks, a sound.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any


class Service:
    """What `hp-trt serve` answers. Each method raises HTTPError for what is refused."""

    def __init__(self, address: str, token: str | None) -> None:
        self._address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def upload(self, kind: str, file: Path) -> str:
        """The id of a file among "portraits" or "motions". The same bytes have the same id."""
        return str(self._json(f"/v1/{kind}", file.read_bytes(), "application/octet-stream")["id"])

    def job(self, **wish: Any) -> str:
        return str(self._json("/v1/jobs", json.dumps(wish).encode(), "application/json")["id"])

    def kind(self) -> str:
        """What may be asked for: "clip" or "talk"."""
        return str(self._json("/v1/info")["kind"])

    def events(self, job: str) -> Iterator[tuple[str, Any]]:
        """Server-sent events, each a name and its data, until the job has ended."""
        name = ""
        with self._open(f"/v1/jobs/{job}/events") as answer:
            for raw in answer:
                field, _, value = raw.decode().rstrip("\r\n").partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    yield name, json.loads(value)

    def result(self, job: str, out: Path) -> None:
        with self._open(f"/v1/jobs/{job}/result") as answer, out.open("wb") as file:
            shutil.copyfileobj(answer, file)

    def _json(self, path: str, body: bytes | None = None, kind: str = "") -> dict[str, Any]:
        with self._open(path, body, kind) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def _open(self, path: str, body: bytes | None = None, kind: str = "") -> HTTPResponse:
        headers = self._headers | ({"Content-Type": kind} if kind else {})
        answer: HTTPResponse = urllib.request.urlopen(urllib.request.Request(self._address + path, body, headers))
        return answer


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    for name in ("portrait", "motion", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--token")
    options = parser.parse_args()

    service = Service(options.address, options.token)
    try:
        portrait, motion = service.upload("portraits", options.portrait), service.upload("motions", options.motion)
        job = service.job(kind=service.kind(), portrait=portrait, motion=motion)
        for name, said in service.events(job):
            if name == "progress":
                print(f"{said['stage']}: {said['done']} of {said['total'] or '?'}", file=sys.stderr)
            elif name == "error":
                print(said["detail"], file=sys.stderr)
                return 1
        service.result(job, options.out)
    except urllib.error.HTTPError as error:  # its body is a problem: what was found, what was needed
        print(json.load(error)["detail"], file=sys.stderr)
        return 1
    print(f"{options.out}: {options.out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
