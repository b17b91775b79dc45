"""Conversations that nobody would have: any order of anything, and a client that leaves in the middle."""

from __future__ import annotations

import random

import pytest

from tests.hp_trt.apps.service.live.fake_engine import FakeEngine, nothing_runs
from tests.hp_trt.apps.service.live.schema import is_valid
from tests.hp_trt.apps.service.live.talking import JPEG, PCM, PICTURE, PNG, PORTRAIT, SOUND, Closed, jpeg, packet

HELLO = '{"type":"hello","version":1,"media":"%s","sound_hz":16000}'
TEXTS = [
    HELLO % "socket", HELLO % "webrtc", '{"type":"reanchor"}', '{"type":"profile","profile":"no such"}',
    '{"type":"portrait","portrait":"../../etc/passwd"}', '{"type":"offer","sdp":"v=0"}', '{"type":"bye"}', "{", "\0",
    '{"type":"profile","profile":3}', '{"type":"offer","sdp":"' + "m=video\\r\\n" * 500 + '"}',
]  # fmt: skip
PACKETS = [
    packet(PORTRAIT, JPEG, jpeg(20)), packet(PORTRAIT, PNG, jpeg(30)), packet(PORTRAIT, PNG, b"\x89PNG\r\n"),
    packet(SOUND, PCM, b"\1\0" * 640), packet(SOUND, PCM, b"\1\0" * 640, time_us=2**53 - 1),
    packet(PICTURE, JPEG, b"\0"),
    packet(PICTURE, JPEG, jpeg()), packet(PICTURE, JPEG, jpeg(), sequence=1, time_us=2**53 - 1), b"", b"\1",
]  # fmt: skip


def mutated(chance: random.Random, data: bytes) -> bytes:
    """One byte is another one, or the end is missing."""
    if data and chance.random() < 0.5:
        at = chance.randrange(len(data))
        return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
    return data[: chance.randrange(len(data) + 1)]


@pytest.mark.parametrize("driver", ["video", "audio"])
def test_any_order_of_anything_is_answered_by_the_protocol_and_leaves_nothing(serve, driver):
    client, chance = (
        serve(FakeEngine(driver=driver), return_s=0.01, sessions=99, sessions_of_a_caller=99),
        random.Random(7),
    )
    codes = set()
    for number in range(40):
        with client.connect() as talk:
            if number % 4:
                talk.socket.send_text(HELLO % "socket")
                talk.socket.send_bytes(PACKETS[0])
            for _ in range(chance.randrange(12)):
                if chance.random() < 0.4:
                    talk.socket.send_text(chance.choice(TEXTS))
                else:
                    data = chance.choice(PACKETS)
                    talk.socket.send_bytes(mutated(chance, data) if chance.random() < 0.3 else data)
            if chance.random() < 0.7:
                talk.socket.send_text("the end")
                try:
                    while True:
                        talk.next()
                except Closed as closed:
                    codes.add(closed.code)
        assert [message for message in talk.said if not is_valid("server", message)] == []
    assert 4400 in codes and codes <= {1000, 1011, 4400}
    client.http.portal.call(client.sessions.close)
    assert len(client.sessions) == 0 and nothing_runs()
