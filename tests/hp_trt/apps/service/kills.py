"""SIGKILL at random moments of a service, again and again on one state folder: `python -m ...service.kills`.

Three clients ask for jobs all the while. Afterwards one process is left alone: every job that somebody was told of is
known, has ended, and ran at most twice; a result is whole, and what was killed twice says so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.hp_trt.apps.service.conftest import picture, write_video
from tests.hp_trt.apps.service.process import Process

RESULT = hashlib.sha256(b"".join(bytes([number]) * 1000 for number in range(5))).hexdigest()
_CLIENTS = 3
_SETTINGS = {"frame_s": 0.04, "limits": {"waiting_per_token": 100, "kept_items_per_token": 100_000}}


@dataclass
class Found:
    """What came of all jobs."""

    told: set[str] = field(default_factory=set)
    states: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def run(folder: Path, *, kills: int, seed: int = 0) -> Found:
    """Kill so many processes in `folder`."""
    rng, found, state = random.Random(seed), Found(), folder / "state"
    video = write_video(folder / "v.mp4", 5).read_bytes()
    for number in range(kills):
        with Process(state, **_SETTINGS) as service:
            stop = threading.Event()
            clients = [
                threading.Thread(target=_ask, args=(service, stop, video, found, seed * 1000 + number * 10 + one))
                for one in range(_CLIENTS)
            ]
            for client in clients:
                client.start()
            told, end_s = len(found.told), time.monotonic() + 20
            early = rng.random() < 0.2  # before anything is under way
            while not early and len(found.told) == told and time.monotonic() < end_s:
                time.sleep(0.01)
            time.sleep(rng.uniform(0.0, 1.2))
            service.kill()
            stop.set()
            for client in clients:
                client.join()
    with Process(state, frame_s=0.0, limits={"kept_items_per_token": 100_000}) as service:
        for job in sorted(found.told):
            answer = service.client.get(f"/v1/jobs/{job}")
            if answer.status_code != 200:
                found.wrong.append(f"{job} is lost: {answer.text}")
                continue
            said = service.until(job, "done", "failed", "cancelled")
            found.states[said["state"]] += 1
            found.wrong += _wrong(service, said)
        if "Traceback" in service.errors():
            found.wrong.append(service.errors()[-2000:])
    left = [path for path in state.rglob("*") if path.name.endswith(".part")]
    found.wrong += [f"{path} was left" for path in [*left, *(state / "incoming").iterdir()]]
    return found


def _ask(service: Process, stop: threading.Event, video: bytes, found: Found, seed: int) -> None:
    """A client, until the service is gone."""
    rng = random.Random(seed)
    with httpx.Client(base_url=service.address, timeout=10) as client:
        try:
            while not stop.is_set():
                portrait = client.post("/v1/portraits", content=picture(rng.randrange(1, 60))).json()["id"]
                motion = client.post("/v1/motions", content=video).json()["id"]
                body = {"kind": "clip", "portrait": portrait, "motion": motion}
                key = {"idempotency-key": f"{seed}-{rng.random()}"}
                answer = client.post("/v1/jobs", json=body, headers=key)
                if answer.status_code == 202:
                    found.told.add(answer.json()["id"])
                    again = client.post("/v1/jobs", json=body, headers=key)
                    if again.json().get("id") != answer.json()["id"]:
                        found.wrong.append(f"the same key, another job: {again.text}")
                if rng.random() < 0.2:
                    client.delete(f"/v1/jobs/{rng.choice(sorted(found.told))}")
                stop.wait(rng.uniform(0, 0.2))
        except (httpx.HTTPError, json.JSONDecodeError, KeyError, IndexError):
            return


def _wrong(service: Process, job: dict) -> list[str]:
    wrong = []
    if job["attempts"] > 2:
        wrong.append(f"{job['id']} ran {job['attempts']} times")
    if job["state"] == "done":
        content = service.client.get(f"/v1/jobs/{job['id']}/result").content
        if hashlib.sha256(content).hexdigest() != RESULT or job["result"]["sha256"] != RESULT:
            wrong.append(f"{job['id']} has a torn result of {len(content)} bytes")
    if job["state"] == "failed" and (job["error"]["type"] != "urn:hp-trt:interrupted" or job["attempts"] != 2):
        wrong.append(f"{job['id']} failed otherwise: {job['error']}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), kills=options.kills, seed=options.seed)
    print(f"{options.kills} kills, {len(found.told)} jobs: {dict(found.states)}")
    print(*found.wrong, sep="\n")
    if found.wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
