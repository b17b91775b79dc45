"""A client of the live protocol for tests, which reads and writes it by itself, from the document."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image
from starlette.testclient import TestClient, WebSocketTestSession

from hp_trt.apps.service.live.limits import LiveLimits
from hp_trt.apps.service.live.sessions import LiveSessions
from tests.hp_trt.apps.service.live.fake_engine import picture

PICTURE, SOUND, PORTRAIT = 1, 2, 3
JPEG, PNG, PCM = 1, 2, 16


def limits(**changes: Any) -> LiveLimits:
    return replace(LiveLimits(sessions=4, sessions_of_a_caller=4), **changes)


def jpeg(level: int = 100, size: int = 32, **options: Any) -> bytes:
    made = io.BytesIO()
    Image.fromarray(picture(level, size)).save(made, "JPEG", **options)
    return made.getvalue()


def packet(kind: int, codec: int, payload: bytes, *, sequence=0, time_us=0, latency_us=0, zero=0) -> bytes:
    numbers = ((kind, 1), (codec, 1), (zero, 2), (sequence, 4), (time_us, 8), (latency_us, 8))
    return b"".join(number.to_bytes(size, "big") for number, size in numbers) + payload


@dataclass(frozen=True)
class Came:
    """A packet of the server's."""

    kind: int
    codec: int
    sequence: int
    time_us: int
    latency_us: int
    payload: bytes

    @property
    def level(self) -> int:
        """Of a picture of one brightness."""
        return Image.open(io.BytesIO(self.payload)).getpixel((5, 5))[0]


def unpacked(data: bytes) -> Came:
    number = int.from_bytes
    return Came(
        data[0], data[1], number(data[4:8], "big"), number(data[8:16], "big"), number(data[16:24], "big"), data[24:]
    )


class Closed(Exception):  # no error: how a test hears of it
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Talk:
    """One connection. `said` keeps every message that came."""

    def __init__(self, socket: WebSocketTestSession) -> None:
        self.socket = socket
        self.said: list[dict[str, Any]] = []
        self.came: list[Came] = []
        self.credit = self.sent = 0

    def say(self, type: str, **keys: Any) -> None:
        self.socket.send_text(json.dumps({"type": type} | keys))

    def hello(self, media: str = "socket", **keys: Any) -> dict[str, Any]:
        self.say("hello", version=1, media=media, **keys)
        return self.hear("welcome")

    def begin(self, portrait: int = 0, **keys: Any) -> dict[str, Any]:
        """Say hello, send a portrait; what ready says."""
        self.hello(**keys)
        self.portrait(portrait)
        return self.hear("ready")

    def portrait(self, level: int) -> None:
        made = io.BytesIO()
        Image.fromarray(picture(level)).save(made, "PNG")
        self.socket.send_bytes(packet(PORTRAIT, PNG, made.getvalue()))

    def send(self, time_us: int, level: int = 100, payload: bytes | None = None) -> None:
        """A picture, without looking at the credit."""
        data = jpeg(level) if payload is None else payload
        self.socket.send_bytes(packet(PICTURE, JPEG, data, sequence=self.sent, time_us=time_us))
        self.sent += 1

    def send_with_credit(self, time_us: int, level: int = 100, payload: bytes | None = None) -> None:
        while self.credit <= self.sent:
            self.next()
        self.send(time_us, level, payload)

    def next(self) -> dict[str, Any] | Came:
        """The next message or packet, which are kept too. Raises Closed."""
        came = self.socket.receive()
        if came["type"] == "websocket.close":
            raise Closed(came["code"])
        if came.get("bytes") is not None:
            self.came.append(unpacked(came["bytes"]))
            return self.came[-1]
        message = json.loads(came["text"])
        self.said.append(message)
        if message["type"] == "credit":
            self.credit = message["until"]
        return message

    def hear(self, type: str) -> dict[str, Any]:
        """The next message of that type; others, and packets, go by."""
        while True:
            came = self.next()
            if isinstance(came, dict) and came["type"] == type:
                return came

    def get(self, kind: int = PICTURE) -> Came:
        """The next packet of that kind."""
        while not any(came.kind == kind for came in self.came):
            self.next()
        found = next(came for came in self.came if came.kind == kind)
        self.came.remove(found)
        return found

    def end(self) -> tuple[dict[str, Any], int]:
        """The last message but bye, and the close code."""
        try:
            while True:
                self.next()
        except Closed as closed:
            said = [message for message in self.said if message["type"] in ("error", "bye")]
            return (said[0] if said else {}), closed.code


class Client:
    """What a test has of a service."""

    def __init__(self, http: TestClient, sessions: LiveSessions) -> None:
        self.http, self.sessions = http, sessions

    def ask(self, caller: str = "me", **wishes: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/live", json=wishes, headers={"x-caller": caller})
        assert answer.status_code == 201, answer.text
        return answer.json()

    @contextmanager
    def connect(self, asked: dict[str, Any] | None = None, *, ticket: str | None = None, headers=None):
        asked = asked or self.ask()
        ticket = asked["ticket"] if ticket is None else ticket
        protocols = ["hp-trt.live.1", f"ticket.{ticket}"]
        with self.http.websocket_connect(asked["socket"], subprotocols=protocols, headers=headers or {}) as socket:
            yield Talk(socket)
