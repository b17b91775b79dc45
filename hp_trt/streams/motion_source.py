"""A motion file as a source of a live run: frames that were encoded, with their times, and the sound beside them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from hp_trt.encoded.driver import DriverFrame, EncodedDriver
from hp_trt.encoded.encoded_file import is_encoded
from hp_trt.media.kept_sound import KeptSound, sound_of
from hp_trt.media.video import audio_stream
from hp_trt.streams.sources import HIGHEST_RATE, USUAL_RATE, SoundPacket, Source, local_file, open_source


@dataclass(frozen=True, kw_only=True)
class Move:
    """One driving frame, in the place of its picture."""

    frame: DriverFrame
    time_s: Fraction  # on the clock of the video that it is of


def open_driving(what: str, *, sound: bool, timeout_s: float, stop: threading.Event, playlist: bool = False) -> Source:
    """As `hp_trt.streams.sources.open_source`, where `what` may be a motion file too."""
    if is_encoded(file := local_file(what)):
        return MotionSource(Path(file), what, sound=sound)
    return open_source(what, sound=sound, timeout_s=timeout_s, stop=stop, playlist=playlist)


class MotionSource:
    """A `hp_trt.streams.sources.Source`. `sound`: whether anyone will hear it. Raises InputError."""

    recorded = True

    def __init__(self, path: Path, name: str, *, sound: bool) -> None:
        self._driver = EncodedDriver(path)
        self._driver.file.check_content()
        self.name, self.notes = name, self._driver.notes
        rate = self._driver.info.rate
        self.rate = rate if rate <= HIGHEST_RATE else USUAL_RATE
        self._sound: KeptSound | None = sound_of(self._driver.file) if sound else None
        self._container: Any = None if self._sound is None else self._sound.open()
        self.sound = None if self._container is None else audio_stream(self._container)

    def read(self) -> Iterator[Move | SoundPacket]:
        packets = self._packets()
        packet = next(packets, None)
        for frame, time_s in self._driver.timed():
            while packet is not None and packet.time_s <= time_s:
                yield packet
                packet = next(packets, None)
            yield Move(frame=frame, time_s=time_s)
        if packet is not None:
            yield packet
            yield from packets

    def close(self) -> None:
        if self._container is not None:
            self._container.close()

    def _packets(self) -> Iterator[SoundPacket]:
        if self._sound is None:
            return
        for packet in self._sound.packets(self._container, self.sound):
            if packet.dts is not None:
                ticks = packet.pts if packet.pts is not None else packet.dts
                yield SoundPacket(packet=packet, time_s=Fraction(ticks) * packet.time_base)
