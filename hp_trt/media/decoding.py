"""What one stream of an open container has: its packets, and its pictures as they are shown, decoded on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from hp_trt.media.promise import Delivery


class Cut(Protocol):
    """Who is told that a file ends before its end."""

    cut_off: bool


def demuxed(container: Any, stream: Any, told: Cut) -> Iterator[Any]:
    """The packets that can be demuxed, whatever the demuxer raises."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except Exception:  # FFmpeg's own errors, and those of PyAV's for a damaged file
            told.cut_off = True
            return
        yield packet


def packets_of(container: Any, stream: Any, delivery: Delivery) -> Iterator[Any]:
    """The same, of which `delivery` counts each."""
    for packet in demuxed(container, stream, delivery):
        delivery.take(packet)
        yield packet


def decoded(container: Any, stream: Any, delivery: Delivery) -> Iterator[Any]:
    """The frames that can be decoded, whatever the demuxer and the decoder raise; `delivery` counts the packets."""
    for packet in packets_of(container, stream, delivery):
        try:
            frames = packet.decode()
        except Exception:
            delivery.damaged += bool(packet.size)  # an empty one repeats a frame
            continue
        yield from frames
