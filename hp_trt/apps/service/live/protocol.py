"""What is said on a live session's socket: messages, which are JSON, and packets, which are a header and media.

A packet's header has 24 bytes, the highest byte of each number first: kind, codec, two bytes of zero, the sequence
number, the driver's time in microseconds and the server's latency in microseconds. `docs/live-protocol.md` says all of
it for whoever writes a client, and the schema beside it is what the tests hold both ends to.

Whatever comes is read here with types and ranges; below, it is trusted.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Literal

from engines.errors import HpTrtError, InputError
from engines.fields import Field, parse_json

VERSION = 1
SUBPROTOCOL = "hp-trt.live.1"
HEADER = struct.Struct("!BBHIQQ")
MOST_TEXT = 65_536  # bytes of a message; an offer has some thousands
MOST_TIME_US = 2**53 - 1  # what a browser's numbers hold exactly
_LOWEST_HZ, _HIGHEST_HZ = 8_000, 96_000
_LONGEST_NAME = 200

Media = Literal["socket", "webrtc"]


class ProtocolError(InputError):
    """What came is not what the protocol says."""


class Kind(IntEnum):
    """What a packet is."""

    PICTURE = 1  # a driving frame; back, the animated one
    SOUND = 2
    PORTRAIT = 3  # to the server alone


class Codec(IntEnum):
    """What a packet's bytes are."""

    JPEG = 1
    PNG = 2
    WEBP = 3
    PCM = 16  # one channel, 16 bits signed, the lowest byte first


_CODECS: Mapping[Kind, tuple[Codec, ...]] = {
    Kind.PICTURE: (Codec.JPEG,),
    Kind.SOUND: (Codec.PCM,),
    Kind.PORTRAIT: (Codec.JPEG, Codec.PNG, Codec.WEBP),
}


@dataclass(frozen=True, kw_only=True)
class Packet:
    """Media on the socket."""

    kind: Kind
    codec: Codec
    payload: bytes
    sequence: int = 0  # of its kind, from 0, on this connection
    time_us: int = 0  # on the driver's clock; an answer repeats it
    latency_us: int = 0  # from when the server had it until it sent the answer

    def encoded(self) -> bytes:
        return HEADER.pack(self.kind, self.codec, 0, self.sequence, self.time_us, self.latency_us) + self.payload


def read_packet(data: bytes) -> Packet:
    """Raises ProtocolError."""
    if len(data) <= HEADER.size:
        raise ProtocolError(f"a packet of {len(data)} bytes came; a header of {HEADER.size} and what follows it do")
    kind, codec, zero, sequence, time_us, latency_us = HEADER.unpack_from(data)
    if kind not in Kind.__members__.values():
        raise ProtocolError(f"a packet of kind {kind} came; kinds are {_numbers(Kind)}")
    if codec not in _CODECS[Kind(kind)]:
        raise ProtocolError(
            f"a packet of kind {kind} came with codec {codec}; it may have {_numbers(_CODECS[Kind(kind)])}"
        )
    if zero:
        raise ProtocolError(f"bytes 2 and 3 of a packet's header are {zero}; they are 0 in version {VERSION}")
    if time_us > MOST_TIME_US:
        raise ProtocolError(f"a packet's time is {time_us} microseconds; send at most {MOST_TIME_US}")
    if kind == Kind.SOUND and (len(data) - HEADER.size) % 2:
        raise ProtocolError(f"sound of {len(data) - HEADER.size} bytes came; a sample has two")
    return Packet(
        kind=Kind(kind),
        codec=Codec(codec),
        payload=data[HEADER.size :],
        sequence=sequence,
        time_us=time_us,
        latency_us=latency_us,
    )


@dataclass(frozen=True, kw_only=True)
class Hello:
    """The first message: what the client speaks."""

    version: int
    media: Media
    sound_hz: int | None = None  # of the sound that it sends on the socket; None: it sends none


@dataclass(frozen=True, kw_only=True)
class Offer:
    """WebRTC's session description of the client, whole: no candidate follows."""

    sdp: str


@dataclass(frozen=True, kw_only=True)
class ChoosePortrait:
    """A portrait that the service keeps, by its id."""

    portrait: str


@dataclass(frozen=True, kw_only=True)
class ChooseProfile:
    profile: str


@dataclass(frozen=True, kw_only=True)
class Reanchor:
    """The next face sets the crop anew."""


@dataclass(frozen=True, kw_only=True)
class Leave:
    """The client ends the session: nobody comes back."""


ClientMessage = Hello | Offer | ChoosePortrait | ChooseProfile | Reanchor | Leave


def _hello(field: Field) -> Hello:
    sound = field.get("sound_hz")
    return Hello(
        version=field["version"].whole(1, 1000),
        media=field["media"].choice(("socket", "webrtc")),
        sound_hz=None if sound is None or sound.found is None else sound.whole(_LOWEST_HZ, _HIGHEST_HZ),
    )


_READERS: Mapping[str, Callable[[Field], ClientMessage]] = {
    "hello": _hello,
    "offer": lambda field: Offer(sdp=field["sdp"].text(most=MOST_TEXT)),
    "portrait": lambda field: ChoosePortrait(portrait=field["portrait"].text(most=_LONGEST_NAME)),
    "profile": lambda field: ChooseProfile(profile=field["profile"].text(most=_LONGEST_NAME)),
    "reanchor": lambda field: Reanchor(),
    "bye": lambda field: Leave(),
}


def read_message(text: str) -> ClientMessage:
    """What a client says. Keys that this version does not know are let be. Raises ProtocolError."""
    if len(text) > MOST_TEXT or len(text.encode("utf-8", "replace")) > MOST_TEXT:
        raise ProtocolError(f"a message is longer than {MOST_TEXT} bytes")
    try:
        field = parse_json(text)
        return _READERS[field["type"].choice(tuple(_READERS))](field)
    except ValueError as error:
        raise ProtocolError(f"a message is not what the protocol says ({error}); see docs/live-protocol.md") from error


@dataclass(frozen=True, kw_only=True)
class Welcome:
    """The answer to hello: what the client needs to know before anything is animated."""

    id: str
    driver: Literal["video", "audio"]
    portrait: bool  # whether one is chosen already; else the client sends one
    frame_bytes: int  # of a picture's packet at most
    portrait_bytes: int  # of a portrait's
    frames_per_s: float  # at most
    sound_hz: int  # of the sound that comes back on the socket; 0: none does
    webrtc: bool  # whether offers are taken
    ice_servers: Sequence[Mapping[str, Any]] = ()
    version: int = VERSION


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Frames are animated from now on."""

    size: tuple[int, int]  # width and height of the animated pictures
    resumed: bool  # whether the session was there before this connection


@dataclass(frozen=True, kw_only=True)
class Credit:
    """Pictures with a lower sequence number than `until` may be sent."""

    until: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """WebRTC's session description of the server."""

    sdp: str


@dataclass(frozen=True, kw_only=True)
class Changed:
    """What was asked for holds from the next window on."""

    what: Literal["portrait", "profile", "crop"]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """At most so many frames a second, please."""

    frames_per_s: float
    why: str


@dataclass(frozen=True, kw_only=True)
class Stats:
    """How the session is doing, once a second. Seconds, and counts since it began."""

    frames_per_s: float  # animated, over the last seconds
    engine_p50_s: float | None  # from a frame's arrival until it is animated
    engine_p99_s: float | None
    held_p50_s: float | None  # then, until it was its turn to be shown
    server_p50_s: float | None  # all of it, with what it waited before: from when the server had it until it was sent
    taken: int
    animated: int
    dropped: Mapping[str, int]  # where: see docs/live-protocol.md
    faceless: int
    late: bool  # frames come faster than they are animated
    why: Literal["", "engine", "reader", "rate"]  # what holds it up


@dataclass(frozen=True, kw_only=True)
class Note:
    """For people to read."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Draining:
    """The server ends: so many seconds are left."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Error:
    """What could not be done; `ends`: the session with it."""

    slug: str
    detail: str
    ends: bool


@dataclass(frozen=True, kw_only=True)
class Bye:
    """The session has ended; the connection closes."""

    reason: str
    detail: str


ServerMessage = Welcome | Ready | Credit | Answer | Changed | Rate | Stats | Note | Draining | Error | Bye


def message_text(message: ServerMessage) -> str:
    """As it is sent."""
    return json.dumps({"type": type(message).__name__.lower()} | asdict(message), separators=(",", ":"))


def slug_of(error: HpTrtError) -> str:
    """A name for a kind of error, for programs: FaceNotFound is face-not-found."""
    name = type(error).__name__
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


def _numbers(of: Any) -> str:
    return ", ".join(f"{int(value)} ({value.name.lower()})" for value in of)
