"""A live session's socket: its control channel, its lifetime and, where media go over it, its pictures and sound.

The ticket comes as a subprotocol, because a browser can set no other header, and an address is written into logs. One
task reads, one writes; what is to be written waits in an outbox, so nobody who reads slowly holds up anybody.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from fastapi import WebSocket

from engines.errors import HpTrtError
from hp_trt.apps.service.live import webrtc
from hp_trt.apps.service.live.channel import LiveChannel
from hp_trt.apps.service.live.credit import Credits
from hp_trt.apps.service.live.outbox import Outbox
from hp_trt.apps.service.live.pictures import driving_picture, portrait_picture
from hp_trt.apps.service.live.protocol import (
    SUBPROTOCOL,
    VERSION,
    Answer,
    Bye,
    ChoosePortrait,
    ChooseProfile,
    ClientMessage,
    Codec,
    Credit,
    Error,
    Hello,
    Kind,
    Leave,
    Offer,
    Packet,
    ProtocolError,
    Reanchor,
    ServerMessage,
    Welcome,
    message_text,
    read_message,
    read_packet,
    slug_of,
)
from hp_trt.apps.service.live.sessions import LiveSessions
from hp_trt.apps.service.live.shown import Shown
from hp_trt.apps.service.live.tickets import TicketRefused
from hp_trt.apps.service.live.times import SPEECH_HZ
from hp_trt.apps.service.live.watch import LEFT, End

TICKET = "ticket."  # before it, in the list of subprotocols
_CLOSE_S = 2.0  # for a client to take its last words
_MESSAGES_PER_S, _MESSAGES_AT_ONCE = 10.0, 40.0  # control messages; a person's, and a program that starts
_TRY_AGAIN = 1013


async def converse(socket: WebSocket, sessions: LiveSessions, session: str) -> None:
    """The whole life of one connection to the session of that id."""
    offered = socket.scope.get("subprotocols") or []
    await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    ticket = next((name.removeprefix(TICKET) for name in offered if name.startswith(TICKET)), "")
    try:
        channel = sessions.enter(session, ticket)
    except HpTrtError as error:
        code = 4401 if isinstance(error, TicketRefused) else _TRY_AGAIN
        await _refuse(socket, Error(slug=slug_of(error), detail=str(error), ends=True), code)
        return
    await Connection(socket, channel, sessions).run()


async def _refuse(socket: WebSocket, error: Error, code: int) -> None:
    with suppress(Exception):  # gone already
        async with asyncio.timeout(_CLOSE_S):
            await socket.send_text(message_text(error))
            await socket.close(code, error.slug)


class Connection:
    """One client on a channel: a `hp_trt.apps.service.live.channel.Control`."""

    def __init__(self, socket: WebSocket, channel: LiveChannel, sessions: LiveSessions) -> None:
        self._socket, self._channel, self._sessions = socket, channel, sessions
        self.outbox: Outbox[ServerMessage] = Outbox(channel.queue, jpeg=True)
        self._credits = Credits(most_ignored=channel.limits.uncredited)
        self._hello: Hello | None = None
        self._peer: webrtc.Peer | None = None
        self._end: End | None = None
        self._left = asyncio.Event()
        self._sent = {Kind.PICTURE: 0, Kind.SOUND: 0}
        self._budget, self._budget_s = _MESSAGES_AT_ONCE, asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Until either side ends it. Nothing of it is left then."""
        self._channel.attach(self)
        writer = asyncio.create_task(self._write())
        reader = asyncio.create_task(self._read())
        left = asyncio.create_task(self._left.wait())  # a client that does nothing at all ends neither of the two
        try:
            await asyncio.wait({reader, writer, left}, return_when=asyncio.FIRST_COMPLETED)
            self.outbox.close()
            if not writer.done():
                await asyncio.wait({writer}, timeout=_CLOSE_S)
        finally:
            self._channel.detach(self)
            for task in (reader, writer, left):
                task.cancel()
            await asyncio.gather(reader, writer, left, return_exceptions=True)
            if self._peer is not None:
                await self._peer.close()
            if self._end is not None:
                with suppress(Exception):  # gone already, or it takes nothing: the server lets go of it then
                    async with asyncio.timeout(_CLOSE_S):
                        await self._socket.close(self._end.code, self._end.reason)

    @property
    def _sound_hz(self) -> int:
        """Of what goes back."""
        if self._channel.engine.driver == "audio":
            return SPEECH_HZ
        return (self._hello.sound_hz if self._hello else None) or 0

    def leave(self, end: End) -> None:
        self._end = self._end or end
        self._left.set()
        self.outbox.tell(Bye(reason=end.reason, detail=end.detail))
        self.outbox.close()

    def credit(self, room: int) -> None:
        if self._hello is not None and self._hello.media == "socket" and self._credits.grant(room):
            self.outbox.tell(Credit(until=self._credits.until))

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(self._channel.limits.hello_s) as waiting:
                while self._end is None:
                    came = await self._socket.receive()
                    if came["type"] != "websocket.receive":
                        return
                    await self._understand(came)
                    if self._hello is not None:
                        waiting.reschedule(None)
        except TimeoutError:
            self._fail("hello-missing", f"no hello came within {self._channel.limits.hello_s:g} s", 4408)
        except ProtocolError as error:
            self._fail("protocol-error", str(error), 4400)

    def _fail(self, slug: str, detail: str, code: int) -> None:
        """This connection is ended, and its session with it: it was a program's mistake, and comes again."""
        self.outbox.tell(Error(slug=slug, detail=detail, ends=True))
        self._channel.finish(End(reason=slug, detail=detail, code=code))

    async def _understand(self, came: Any) -> None:
        text, data = came.get("text"), came.get("bytes")
        if text is not None:
            self._spend()
            message = read_message(text)
            if self._hello is None and not isinstance(message, Hello):
                raise ProtocolError("the first message must be hello; send it, then wait for welcome")
            await self._do(message)
        elif data is not None:
            limits = self._channel.limits
            if len(data) > limits.message_bytes:
                raise ProtocolError(f"a packet of {len(data)} bytes came, at most {limits.message_bytes} may")
            if self._hello is None:
                raise ProtocolError("a packet came before hello; send hello, then wait for welcome")
            self._take(read_packet(data))

    def _spend(self) -> None:
        """A message costs one of a budget that fills with time."""
        now_s = asyncio.get_running_loop().time()
        self._budget = min(_MESSAGES_AT_ONCE, self._budget + (now_s - self._budget_s) * _MESSAGES_PER_S) - 1
        self._budget_s = now_s
        if self._budget < 0:
            raise ProtocolError(f"more than {_MESSAGES_PER_S:g} messages a second came; send fewer")

    async def _do(self, message: ClientMessage) -> None:
        match message:
            case Hello():
                self._greet(message)
            case Offer():
                await self._answer(message.sdp)
            case ChoosePortrait():
                self._sessions.choose(self._channel, message.portrait)
            case ChooseProfile():
                self._channel.change_profile(message.profile)
            case Reanchor():
                self._channel.reanchor()
            case Leave():
                self._channel.finish(LEFT)

    def _greet(self, hello: Hello) -> None:
        if self._hello is not None:
            raise ProtocolError("hello came twice on one connection; open another one")
        if hello.version != VERSION:
            raise ProtocolError(f"version {hello.version} of the protocol was asked for; there is {VERSION}")
        self._hello, channel = hello, self._channel
        limits = channel.limits
        welcome = Welcome(
            id=channel.id,
            driver=channel.engine.driver,
            portrait=channel.chosen,
            frame_bytes=limits.frame_bytes,
            portrait_bytes=limits.portrait_bytes,
            frames_per_s=channel.health.pace.rate,
            sound_hz=self._sound_hz,
            webrtc=webrtc.available(),
            ice_servers=self._sessions.ice_servers,
        )
        self.outbox.tell(welcome)
        if hello.media == "socket":
            channel.watch(self.outbox)
        channel.greeted(self)

    async def _answer(self, sdp: str) -> None:
        """One peer a connection: another offer takes the place of the one before."""
        assert self._hello is not None
        try:
            if self._hello.media != "webrtc":
                raise ProtocolError("an offer came after a hello of media socket; say webrtc in hello")
            before, self._peer = self._peer, None
            if before is not None:
                await before.close()
            self._peer = webrtc.Peer(self._channel, ice_servers=self._sessions.ice_servers)
            self.outbox.tell(Answer(sdp=await self._peer.answer(sdp, sends=True, receives=True)))
        except ProtocolError:
            raise
        except HpTrtError as error:
            self.outbox.tell(Error(slug="webrtc", detail=str(error), ends=False))

    def _take(self, packet: Packet) -> None:
        channel, limits = self._channel, self._channel.limits
        if packet.kind == Kind.PORTRAIT:
            if len(packet.payload) > limits.portrait_bytes:
                raise ProtocolError(f"a portrait of {len(packet.payload)} bytes came; send {limits.portrait_bytes}")
            channel.choose(partial(portrait_picture, packet.payload, longest_px=limits.portrait_px))
            return
        if len(packet.payload) > limits.frame_bytes:
            raise ProtocolError(f"a frame of {len(packet.payload)} bytes came; send at most {limits.frame_bytes}")
        if packet.kind == Kind.SOUND:
            assert self._hello is not None
            if self._hello.sound_hz is None:
                raise ProtocolError("sound came and hello did not say sound_hz; say it there")
            samples = np.frombuffer(packet.payload, "<i2").astype(np.int16)
            channel.take_sound(samples, self._hello.sound_hz, packet.time_us)
        elif not self._credits.admits(packet.sequence):
            channel.uncredited()
        else:
            channel.take_picture(
                partial(driving_picture, packet.payload, most_pixels=limits.frame_pixels), packet.time_us
            )

    async def _write(self) -> None:
        while (item := await self.outbox.take()) is not None:
            if isinstance(item, Shown):
                for packet in self._packets(item):
                    await self._socket.send_bytes(packet.encoded())
            else:
                await self._socket.send_text(message_text(item))

    def _packets(self, shown: Shown) -> list[Packet]:
        """Sound first: it begins with its picture, or before."""
        packets: list[tuple[Kind, Codec, bytes, int]] = []
        if shown.jpeg is None:  # made before this viewer came
            return []
        if shown.sound is not None and shown.sound_hz == self._sound_hz:
            packets.append((Kind.SOUND, Codec.PCM, shown.sound.astype("<i2").tobytes(), shown.sound_us))
        packets.append((Kind.PICTURE, Codec.JPEG, shown.jpeg, shown.time_us))
        made = []
        for kind, codec, payload, time_us in packets:
            number, self._sent[kind] = self._sent[kind], self._sent[kind] + 1
            made.append(
                Packet(
                    kind=kind,
                    codec=codec,
                    payload=payload,
                    sequence=number % 2**32,
                    time_us=time_us,
                    latency_us=shown.latency_us(),
                )
            )
        return made
