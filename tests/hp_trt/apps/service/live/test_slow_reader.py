"""A client that sends and never reads, on a real connection: the server lets go of it, and keeps nothing."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import threading
import time

import httpx
import numpy as np
import pytest
from PIL import Image

from hp_trt.apps.service.live.sessions import LiveSessions
from tests.hp_trt.apps.service.live.conftest import application
from tests.hp_trt.apps.service.live.fake_engine import FakeEngine, nothing_runs
from tests.hp_trt.apps.service.live.talking import JPEG, PICTURE, PORTRAIT, jpeg, limits, packet
from tests.hp_trt.apps.web.browser import served


def framed(payload: bytes, opcode: int) -> bytes:
    """A client's frame of RFC 6455, masked with zeros."""
    size = len(payload)
    length = bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload


def upgraded(address: str, asked: dict) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(5)
    made.connect((host, int(port)))
    lines = (
        f"GET {asked['socket']} HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: hp-trt.live.1, ticket.{asked['ticket']}", "", "",
    )  # fmt: skip
    made.sendall("\r\n".join(lines).encode())
    assert made.recv(12) == b"HTTP/1.1 101"
    return made


def noise(size: int = 384) -> bytes:
    made = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (size, size, 3), np.uint8)
    Image.fromarray(pixels).save(made, "JPEG", quality=95)
    return made.getvalue()


@pytest.mark.parametrize("goes_on", [True, False], ids=["and goes on sending", "and falls silent"])
def test_a_client_that_never_reads_is_left(goes_on):
    ended = []
    sessions = LiveSessions(
        FakeEngine(),
        limits=limits(return_s=0.1, uncredited=10**9, frames_per_s=1000.0, jpeg_quality=95),
        meter=lambda name, value, where: ended.append(where) if name == "ended" else None,
    )
    with served(application(sessions, hosts=("127.0.0.1",))) as address:
        client = upgraded(address, httpx.post(f"{address}/v1/live").json())
        client.sendall(framed(json.dumps({"type": "hello", "version": 1, "media": "socket"}).encode(), 1))
        client.sendall(framed(packet(PORTRAIT, JPEG, jpeg(0)), 2))
        picture, sent, end_s = noise(), 0, time.monotonic() + 20
        try:
            while not ended and time.monotonic() < end_s:
                if goes_on or sent < 400:
                    client.sendall(framed(packet(PICTURE, JPEG, picture, sequence=sent, time_us=sent * 20_000), 2))
                    sent += 1
                threading.Event().wait(0.005)
        except OSError:  # the server has closed it
            pass
        while len(sessions) and time.monotonic() < end_s:
            threading.Event().wait(0.01)
        assert ended == ["gone"] and len(sessions) == 0, "nobody came back for what it did not read"
        assert nothing_runs()
        client.close()
