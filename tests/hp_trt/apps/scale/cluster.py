"""A cluster of one machine, started as it is typed, and a live client of it that comes back.

For heavy tests and by hand; it needs Ray, and takes half a minute to start.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import yaml
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.hp_trt.apps.service.live.talking import JPEG, PICTURE, PORTRAIT, packet

ROOT = Path(__file__).parents[4]
SHIPPED = ROOT / "hp_trt/apps/scale/serve.yaml"
# On this machine alone, so that the dashboard answers without Ray's own token.
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
_START_S = 120


class Cluster:
    """The applications of `serve.yaml` with other settings. A context manager, which ends all of it.

    `replicas`: how many of each deployment; `settings`: as `args`.
    """

    def __init__(self, folder: Path, *, replicas: dict[str, int], **settings: Any) -> None:
        self.folder, self.file = folder, folder / "serve.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        self.settings = {"state": str(folder / "state"), "drain_s": 20.0, "runtime.threads": 1, **settings}
        self.replicas = replicas
        self._write()
        self._log = (folder / "serve.log").open("ab")
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("serve"), "run", self.file],
            cwd=folder,
            env=os.environ | ENVIRONMENT,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self.client = httpx.Client(base_url="http://127.0.0.1:7860", timeout=60)

    def __enter__(self) -> Self:
        try:
            self.until_running()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
        subprocess.run([Path(sys.executable).with_name("ray"), "stop", "--force"], capture_output=True, check=False)
        self._log.close()

    def log(self) -> str:
        return (self.folder / "serve.log").read_text(errors="replace")

    def _write(self) -> None:
        said = yaml.safe_load(SHIPPED.read_text())
        for application in said["applications"]:
            application["args"] = application["args"] | self.settings
            for one in application["deployments"]:
                one.pop("autoscaling_config", None)
                one["num_replicas"] = self.replicas.get(one["name"], 1)
                one["ray_actor_options"] = {"num_cpus": 0.1}
        said["applications"] = [one for one in said["applications"] if self._wanted(one)]
        self.file.write_text(yaml.safe_dump(said))

    def _wanted(self, application: dict[str, Any]) -> bool:
        return all(self.replicas.get(one["name"], 1) for one in application["deployments"])

    def scale(self, **replicas: int) -> None:
        """Other numbers of replicas. Returns at once."""
        self.replicas |= replicas
        self._write()
        done = subprocess.run(
            [Path(sys.executable).with_name("serve"), "deploy", self.file],
            env=os.environ | ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def details(self) -> dict[str, Any]:
        """What Ray's dashboard says of all applications."""
        return httpx.get("http://127.0.0.1:8265/api/serve/applications/", timeout=30).json()["applications"]

    def pids(self, name: str) -> dict[str, int]:
        """The replicas of a deployment that run, and their processes."""
        found = [one["deployments"][name] for one in self.details().values() if name in one["deployments"]]
        return {
            replica["replica_id"]: replica["pid"]
            for deployment in found
            for replica in deployment["replicas"]
            if replica["state"] == "RUNNING"
        }

    def until_running(self, timeout_s: float = _START_S) -> None:
        """Until every replica runs that was asked for, and the front answers."""
        end_s = time.monotonic() + timeout_s
        wanted = {"Fronts", "Encode", "Clips", "Live"} & {
            one["name"] for app in yaml.safe_load(self.file.read_text())["applications"] for one in app["deployments"]
        }
        while True:
            with suppress(httpx.HTTPError, ValueError, KeyError):
                all_run = all(len(self.pids(name)) == self.replicas.get(name, 1) for name in wanted)
                if all_run and self.client.get("/readyz").status_code == 200:
                    return
            assert self.process.poll() is None and time.monotonic() < end_s, self.log()[-4000:]
            time.sleep(0.3)

    def upload(self, portrait: Path, motion: Path) -> tuple[str, str]:
        files = (("portraits", portrait), ("motions", motion))
        made = [self.client.post(f"/v1/{kind}", content=file.read_bytes()) for kind, file in files]
        assert all(answer.status_code in (200, 201) for answer in made), [answer.text for answer in made]
        return made[0].json()["id"], made[1].json()["id"]

    def job(self, portrait: str, motion: str, **more: Any) -> str:
        answer = self.client.post("/v1/jobs", json={"kind": "clip", "portrait": portrait, "motion": motion, **more})
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def until(self, job: str, *states: str, timeout_s: float = 120) -> dict[str, Any]:
        """The job, once it is in one of these states."""
        end_s = time.monotonic() + timeout_s
        while (found := self.client.get(f"/v1/jobs/{job}").json())["state"] not in states:
            assert time.monotonic() < end_s, (found, self.log()[-3000:])
            time.sleep(0.25)  # each look costs both cores a little
        return found


@dataclass
class LiveClient:
    """A live client, in a thread: a picture for each credit, and another session where one ends that it did not end.

    `told`: moments (monotonic) and what was told: the types of messages, `begun`, `back`, `closed CODE`.
    `pictures`: moments of those that came.
    """

    address: str
    portrait: Path
    caller: str | None = None
    told: list[tuple[float, str]] = field(default_factory=list)
    pictures: list[float] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    failed: str = ""

    def __post_init__(self) -> None:
        made = io.BytesIO()
        Image.open(self.portrait).convert("RGB").save(made, "PNG")
        self._portrait, picture = made.getvalue(), io.BytesIO()
        Image.open(self.portrait).convert("RGB").resize((256, 256)).save(picture, "JPEG")
        self._picture = picture.getvalue()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join(20)

    def moments(self, what: str) -> list[float]:
        return [moment for moment, told in self.told if told == what]

    def _note(self, what: str) -> None:
        self.told.append((time.monotonic(), what))

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                asked = self._begin()
                if asked is not None:
                    self._converse(asked)
        except Exception as error:
            self.failed = repr(error)

    def _begin(self) -> dict[str, Any] | None:
        """A session, asked for until there is one."""
        headers = {} if self.caller is None else {"authorization": f"Bearer {self.caller}"}
        answer = httpx.post(f"{self.address}/v1/live", json={}, headers=headers, timeout=30)
        if answer.status_code != 201:
            self._note(f"refused {answer.status_code}")
            time.sleep(0.2)
            return None
        self.sessions.append(answer.json()["id"])
        return answer.json()

    def _converse(self, asked: dict[str, Any]) -> None:
        protocols = ["hp-trt.live.1", f"ticket.{asked['ticket']}"]
        url = self.address.replace("http", "ws") + asked["socket"]
        try:
            with connect(url, subprotocols=protocols, max_size=None) as socket:  # type: ignore[arg-type]
                socket.send(json.dumps({"type": "hello", "version": 1, "media": "socket", "sound_hz": None}))
                begin_s, sent = time.monotonic(), 0
                while not self._end.is_set():
                    try:
                        came = socket.recv(timeout=0.5)
                    except TimeoutError:
                        continue
                    if isinstance(came, bytes):
                        self.pictures.append(time.monotonic())
                        continue
                    message = json.loads(came)
                    self._note(message["type"])
                    if message["type"] == "welcome":
                        socket.send(packet(PORTRAIT, 2, self._portrait))
                    while message["type"] == "credit" and sent < message["until"]:
                        time_us = int((time.monotonic() - begin_s) * 1e6) + sent
                        with suppress(ConnectionClosed):  # what was said before is read first
                            socket.send(packet(PICTURE, JPEG, self._picture, sequence=sent, time_us=time_us))
                        sent += 1
                        time.sleep(0.08)
                socket.send(json.dumps({"type": "leave"}))
        except Exception as error:  # closed, with a word or without
            code = getattr(getattr(error, "rcvd", None), "code", None)
            self._note(f"closed {code}")
