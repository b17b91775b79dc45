"""What a connection is held to, without a socket: bytes go in, and a transport that is none says what became of it."""

from __future__ import annotations

import asyncio

import pytest
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from hp_trt.apps.service import connections
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.connections import bounded_protocol


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.aborted, self.sent = False, b""

    def write(self, data):
        self.sent += data

    def abort(self):
        self.aborted = True

    def is_closing(self):
        return self.aborted

    def close(self):
        self.aborted = True

    def pause_reading(self): ...

    def resume_reading(self): ...

    def get_extra_info(self, name, default=None):
        return default


async def refuses(scope, receive, send):
    """Answers before the body has come."""
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"no"})


async def connected(count: int = 1, *, ws: str = "none", **limits):
    """A connection to an application that refuses everything; so many are open."""
    config = Config(refuses, lifespan="off", log_config=None, ws=ws)
    config.load()
    state = ServerState()
    made = []
    for _ in range(count):
        protocol = bounded_protocol(Limits(**limits))(config=config, server_state=state, app_state={})
        protocol.connection_made(Transport())
        made.append(protocol)
    return made[-1]


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_connection_whose_body_ends_behind_the_answer_goes_on():
    async def run():
        connection = await connected()
        connection.data_received(HEAD + bytes(40))
        await settled()
        assert b"413" in connection.transport.sent and connection._unread is not None, "it is not waited for long"
        connection.data_received(bytes(60))
        assert connection._unread is None and not connection.transport.aborted
        connection.data_received(HEAD)
        await settled()
        assert connection.transport.sent.count(b"413") == 2, "the next request is heard"

    asyncio.run(run())


def test_a_body_that_never_ends_behind_its_answer_ends_the_connection(monkeypatch):
    async def run(wait_s: float):
        connection = await connected()
        connection.data_received(HEAD)
        await settled()
        await asyncio.sleep(wait_s)
        for _ in range(3):
            if not connection.transport.aborted:
                connection.data_received(bytes(30))
        return connection.transport.aborted

    assert not asyncio.run(run(0))
    with monkeypatch.context() as short:
        short.setattr(connections, "_UNREAD_S", 0.01)
        assert asyncio.run(run(0.05))
    monkeypatch.setattr(connections, "_MOST_UNREAD", 70)
    assert asyncio.run(run(0))


@pytest.mark.parametrize("sent", [b"", b"GET / HT"])
def test_a_header_that_does_not_come_ends_the_connection(sent):
    async def run():
        connection = await connected(header_s=0.02)
        if sent:
            connection.data_received(sent)
        await asyncio.sleep(0.06)
        assert connection.transport.aborted and not connection.transport.sent

    asyncio.run(run())


def test_a_reader_that_takes_nothing_ends_the_connection_and_one_that_is_slow_does_not():
    async def run():
        connection = await connected(reader_s=0.05)
        for _ in range(4):
            connection.pause_writing()
            await asyncio.sleep(0.02)
            connection.resume_writing()
        assert not connection.transport.aborted
        connection.pause_writing()
        await asyncio.sleep(0.1)
        assert connection.transport.aborted

    asyncio.run(run())


def test_so_many_connections_are_open_at_a_time():
    async def run():
        assert not (await connected(3, connections=3)).transport.aborted
        assert (await connected(4, connections=3)).transport.aborted

    asyncio.run(run())


def test_a_connection_that_is_lost_leaves_no_timer():
    async def run():
        connection = await connected(header_s=0.02, reader_s=0.02)
        connection.pause_writing()
        connection.connection_lost(ConnectionResetError())
        await asyncio.sleep(0.05)
        assert not connection.transport.aborted

    asyncio.run(run())


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def test_a_socket_is_not_waited_for_as_a_header_is(monkeypatch):
    upgraded = []
    monkeypatch.setattr(H11Protocol, "handle_websocket_upgrade", lambda self, event: upgraded.append(event))

    async def run():
        connection = await connected(ws="auto", header_s=0.02)
        connection.data_received(UPGRADE)
        await asyncio.sleep(0.1)
        return connection.transport.aborted

    assert not asyncio.run(run()) and len(upgraded) == 1
