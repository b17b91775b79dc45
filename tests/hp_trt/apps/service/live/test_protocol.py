"""Our reader and writer against the schema beside the document: what one takes the other takes."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, get_args

import pytest

from hp_trt.apps.service.live import protocol
from hp_trt.apps.service.live.protocol import (
    Changed,
    Codec,
    Error,
    Kind,
    Packet,
    ProtocolError,
    Rate,
    Ready,
    Stats,
    Welcome,
    message_text,
    read_message,
    read_packet,
)
from tests.hp_trt.apps.service.live.schema import is_valid, kinds_of, schema

EXAMPLES = [example for kind in kinds_of("client").values() for example in kind["examples"]]


def type_of(kind: type) -> str:
    return kind.__name__.lower()


def test_both_ends_know_the_same_messages():
    assert {type_of(kind) for kind in get_args(protocol.ServerMessage)} == set(kinds_of("server"))
    assert set(protocol._READERS) == set(kinds_of("client"))


@pytest.mark.parametrize("kind", get_args(protocol.ServerMessage), ids=type_of)
def test_a_servers_message_has_the_keys_that_the_schema_has(kind):
    found = kinds_of("server")[type_of(kind)]
    assert {field.name for field in fields(kind)} | {"type"} == set(found["properties"]) == set(found["required"])
    for example in found["examples"]:
        assert is_valid("server", example)


@pytest.mark.parametrize(
    "message",
    [
        Welcome(
            id="x", driver="audio", portrait=True, frame_bytes=1, portrait_bytes=1, frames_per_s=25.0, sound_hz=0,
            webrtc=False, ice_servers=({"urls": "turn:example.org", "username": "u", "credential": "c"},),
        ),
        Ready(size=(640, 480), resumed=True),
        Changed(what="crop"),
        Rate(frames_per_s=4.5, why="late"),
        Error(slug="face-not-found", detail="none", ends=False),
        Stats(
            frames_per_s=0.0, engine_p50_s=None, engine_p99_s=None, held_p50_s=None, server_p50_s=None, taken=0,
            animated=0,
            dropped=dict.fromkeys(("uncredited", "damaged", "rate", "feed", "in", "out", "sound", "reader"), 0),
            faceless=0, late=True, why="engine",
        ),
    ],
    ids=lambda message: type(message).__name__,
)  # fmt: skip
def test_what_is_written_is_what_the_schema_says(message):
    assert is_valid("server", json.loads(message_text(message)))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["type"])
def test_every_example_is_read(example):
    assert is_valid("client", example)
    read_message(json.dumps(example | {"a key of a later version": [1, {"2": 3}]}))


def changed(example: dict[str, Any]) -> list[Any]:
    """An example with each key left out, and with each of many values in its place."""
    strange = (None, True, -1, 0, 1, 1.5, 2**70, "", "x", "x" * 201, "y" * 70_000, [], [1], {}, {"type": "hello"})
    without = [{key: value for key, value in example.items() if key != left} for left in example]
    return without + [example | {key: value} for key in example for value in strange] + [[example], None, "hello", 3]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["type"])
def test_what_the_schema_refuses_is_refused_and_what_it_takes_is_taken(example):
    refused = 0
    for message in changed(example):
        try:
            read_message(json.dumps(message))
            taken = True
        except ProtocolError:
            taken = False
        allowed = is_valid("client", message)
        # One thing a schema cannot say: how long the text is as a whole.
        assert taken == (allowed and len(json.dumps(message)) <= protocol.MOST_TEXT), str(message)[:200]
        refused += not taken
    assert refused > 5


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", '{"type":"bye"', '{"type":"bye","type":"bye"}', '{"type":NaN}', "[" * 5000, "\ud800",
     "x" * 70_000,      '{"type":"hello","version":1e400,"media":"socket"}', '{"type":"HELLO"}', '{"type":["bye"]}'],
)  # fmt: skip
def test_a_text_that_is_no_message_is_refused(text):
    with pytest.raises(ProtocolError):
        read_message(text)


def packed(**numbers: int) -> bytes:
    """A header as the schema's table has it."""
    head = bytearray(schema()["packet"]["header-bytes"])
    for field in schema()["packet"]["fields"]:
        value = numbers.get(field["name"], 0).to_bytes(field["bytes"], "big")
        head[field["offset"] : field["offset"] + field["bytes"]] = value
    return bytes(head)


def test_a_header_lies_as_the_table_has_it():
    numbers = {"kind": 1, "codec": 1, "sequence": 2**32 - 2, "time_us": 2**53 - 1, "latency_us": 2**40 + 5}
    packet = read_packet(packed(**numbers) + b"jpeg")
    assert packet == Packet(
        kind=Kind.PICTURE,
        codec=Codec.JPEG,
        payload=b"jpeg",
        sequence=2**32 - 2,
        time_us=2**53 - 1,
        latency_us=2**40 + 5,
    )
    assert packet.encoded() == packed(**numbers) + b"jpeg"
    assert schema()["packet"]["most-time-us"] == protocol.MOST_TIME_US


def test_kinds_and_codecs_are_those_of_the_table():
    table = schema()["packet"]
    assert {kind.name.lower(): int(kind) for kind in Kind} == table["kinds"]
    assert {codec.name.lower(): int(codec) for codec in Codec} == table["codecs"]
    for kind, codecs in table["codecs-of"].items():
        for codec, number in table["codecs"].items():
            data = packed(kind=table["kinds"][kind], codec=number) + b"12"
            if codec in codecs:
                assert read_packet(data).payload == b"12"
            else:
                with pytest.raises(ProtocolError, match=f"of kind {table['kinds'][kind]} came with codec {number}"):
                    read_packet(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "a packet of 0 bytes"),
        (packed(kind=1, codec=1), "a packet of 24 bytes"),
        (packed(kind=1, codec=1)[:23], "a packet of 23 bytes"),
        (packed(kind=0, codec=1) + b"1", "kind 0 came; kinds are 1 \\(picture\\), 2"),
        (packed(kind=255, codec=1) + b"1", "kind 255"),
        (packed(kind=1, codec=1, zero=256) + b"1", "header are 256; they are 0"),
        (packed(kind=1, codec=1, time_us=2**53) + b"1", "send at most"),
        (packed(kind=2, codec=16) + b"123", "sound of 3 bytes came; a sample has two"),
    ],
)
def test_a_packet_that_is_none_is_refused(data, said):
    with pytest.raises(ProtocolError, match=said):
        read_packet(data)
