"""A live session's pictures and sound over WebRTC, by aiortc, which is loaded when somebody asks for it.

aiortc decodes what comes into queues without a bound, so whoever pumps always takes all of it, and the channel's own
queues decide what is dropped. Sound goes out by the clock, with silence where there is none, because a player waits for
sound that does not come. aiortc asks a third party's STUN server where it is told nothing: it is told none.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.errors import InputError, how_to_install
from engines.foreign import foreign
from hp_trt.apps.service.live.channel import LiveChannel
from hp_trt.apps.service.live.outbox import Outbox
from hp_trt.apps.service.live.protocol import MOST_TEXT
from hp_trt.apps.service.live.shown import Shown
from hp_trt.apps.service.live.watch import End

if TYPE_CHECKING:
    from aiortc import MediaStreamTrack, RTCPeerConnection

_GATHER_S = 10.0
_CONNECT_S = 20.0
_LONGEST_PX = 640  # a driving frame's longer side: a camera's resolution changes with its network, the crop must not
_MOST_TRACKS, _MOST_CANDIDATES = 4, 40
_SENT_HZ = 48_000
_PIECE_S = 0.02  # of sound in a packet
_SOUND_S = 0.25  # that waits to be sent; more is late
_PICTURES = 2  # that wait to be encoded
_ADVICE = "send the whole offer of a browser, with its candidates"


def available() -> bool:
    """Whether the library is installed."""
    return find_spec("aiortc") is not None


class Peer:
    """One connection by WebRTC on a channel. `join`: whether it keeps the session alive by itself."""

    def __init__(self, channel: LiveChannel, *, ice_servers: Sequence[Mapping[str, Any]], join: bool = False) -> None:
        """Raises InputError where aiortc is not installed."""
        if not available():
            raise InputError(
                "WebRTC needs aiortc, which is not installed on the server; take the socket (hello with media socket), "
                f"or install it: {how_to_install('rtc')}"
            )
        from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection

        servers = [RTCIceServer(**server) for server in ice_servers]
        self._peer: RTCPeerConnection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._channel, self._join = channel, join
        self._pumps: list[asyncio.Task[None]] = []
        self._outbox: Outbox[None] | None = None
        self._closed = False
        self._gone: Callable[[], Any] = lambda: None
        if join:
            channel.join(self._leave)

    async def answer(self, sdp: str, *, sends: bool, receives: bool) -> str:
        """The answer to an offer, with all candidates. `sends`: animated pictures; `receives`: what drives them.

        Raises InputError for an offer that cannot be understood; the peer is closed then.
        """
        try:
            check_offer(sdp)
            with foreign("the offer cannot be understood", _ADVICE):
                async with asyncio.timeout(_GATHER_S):
                    return await self._negotiated(sdp, sends=sends, receives=receives)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Twice is fine."""
        if self._closed:
            return
        self._closed = True
        if self._join:
            self._channel.part(self._leave)
        if self._outbox is not None:
            self._channel.unwatch(self._outbox)
            self._outbox.close()
        for pump in self._pumps:
            pump.cancel()
        await self._peer.close()
        self._gone()

    @property
    def caller(self) -> str:
        """Whose session it is."""
        return self._channel.caller

    def when_gone(self, gone: Callable[[], Any]) -> None:
        """`gone` is called once it is closed."""
        self._gone = gone
        if self._closed:
            gone()

    def _leave(self, end: End) -> None:
        self._pumps.append(asyncio.create_task(self.close()))

    async def _negotiated(self, sdp: str, *, sends: bool, receives: bool) -> str:
        from aiortc import RTCSessionDescription

        peer = self._peer
        if receives:
            peer.on("track", self._receive)
        peer.on("connectionstatechange", self._changed)
        await peer.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
        kinds = [transceiver.kind for transceiver in peer.getTransceivers()]
        if not kinds:
            raise InputError(f"the offer has neither pictures nor sound; {_ADVICE}")
        if sends:
            self._outbox = Outbox(_PICTURES, jpeg=False)
            pictures, sound = _tracks(self._outbox)
            for kind, track in (("video", pictures), ("audio", sound)):
                if kind in kinds:
                    peer.addTrack(track)
            self._channel.watch(self._outbox)
        await peer.setLocalDescription(await peer.createAnswer())
        self._pumps.append(asyncio.create_task(self._connected_in_time()))
        return str(peer.localDescription.sdp)

    async def _connected_in_time(self) -> None:
        """A client that never connects keeps nothing."""
        await asyncio.sleep(_CONNECT_S)
        if self._peer.connectionState != "connected":
            asyncio.create_task(self.close())  # noqa: RUF006  # it cancels this task

    async def _changed(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            await self.close()

    def _receive(self, track: MediaStreamTrack) -> None:
        pump = self._pictures if track.kind == "video" else self._sound
        self._pumps.append(asyncio.create_task(_until_it_ends(partial(pump, track))))

    async def _pictures(self, track: MediaStreamTrack) -> None:
        """Every picture that was decoded, at once; the channel decides.

        aiortc knows that a picture is whole when the next one begins, so each has been here since the one before left.
        """
        begun_s: float | None = None
        before_s = time.monotonic()
        while True:
            frame: Any = await track.recv()
            came_s, before_s = before_s, time.monotonic()
            pts_s = float(frame.pts * frame.time_base)
            begun_s = came_s - pts_s if begun_s is None else begun_s
            self._channel.take_picture(partial(_rgb, frame), max(0, round((begun_s + pts_s) * 1e6)), came_s)

    async def _sound(self, track: MediaStreamTrack) -> None:
        begun_s: float | None = None
        while True:
            frame: Any = await track.recv()
            pts_s = float(frame.pts * frame.time_base)
            begun_s = time.monotonic() - pts_s if begun_s is None else begun_s
            samples = frame.to_ndarray().reshape(-1, frame.layout.nb_channels).mean(axis=1).astype(np.int16)
            self._channel.take_sound(samples, frame.sample_rate, max(0, round((begun_s + pts_s) * 1e6)))


def check_offer(sdp: str) -> None:
    """Raises InputError for an offer that would make us do much."""
    if len(sdp) > MOST_TEXT:
        raise InputError(f"the offer has {len(sdp)} characters, at most {MOST_TEXT} are read; {_ADVICE}")
    if "a=fingerprint:" not in sdp:  # whoever answers would be anybody
        raise InputError(f"the offer cannot be understood: it has no fingerprint of who sends it; {_ADVICE}")
    for start, most, what in (("m=", _MOST_TRACKS, "tracks"), ("a=candidate:", _MOST_CANDIDATES, "candidates")):
        found = sum(line.startswith(start) for line in sdp.splitlines())
        if found > most:
            raise InputError(f"the offer has {found} {what}, at most {most} are taken; {_ADVICE}")


async def _until_it_ends(pump: Callable[[], Any]) -> None:
    from aiortc.mediastreams import MediaStreamError

    with suppress(MediaStreamError):
        await pump()


def _rgb(frame: Any) -> np.ndarray:
    """A decoded frame as (H, W, 3) uint8 RGB, of one size as long as its shape stays the same."""
    shrink = max(frame.width, frame.height) / _LONGEST_PX
    width, height = (max(2, round(side / shrink / 2) * 2) for side in (frame.width, frame.height))
    with foreign("a frame cannot be converted", "send another kind of video"):
        return np.asarray(frame.to_ndarray(format="rgb24", width=width, height=height))


def _tracks(outbox: Outbox[None]) -> tuple[MediaStreamTrack, MediaStreamTrack]:
    """What goes out: the pictures of `outbox`, and the sound that comes with them."""
    import av
    from aiortc import MediaStreamTrack
    from aiortc.mediastreams import MediaStreamError

    heard = SoundOut()

    class Pictures(MediaStreamTrack):
        kind = "video"

        async def recv(self) -> av.VideoFrame:
            shown = await outbox.take()
            if not isinstance(shown, Shown):
                raise MediaStreamError
            if shown.sound is not None:
                heard.put(shown.sound, shown.sound_hz)
            frame = av.VideoFrame.from_ndarray(_even(shown.picture), format="rgb24")
            frame.pts, frame.time_base = shown.time_us * 9 // 100, Fraction(1, 90_000)
            return frame

    class Sound(MediaStreamTrack):
        kind = "audio"

        def __init__(self) -> None:
            super().__init__()
            self._begun_s: float | None = None
            self._pieces = 0

        async def recv(self) -> av.AudioFrame:
            now_s = time.monotonic()
            self._begun_s = now_s if self._begun_s is None else self._begun_s
            await asyncio.sleep(max(0, self._begun_s + self._pieces * _PIECE_S - now_s))
            samples = heard.piece()
            frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = _SENT_HZ, self._pieces * len(samples)
            frame.time_base = Fraction(1, _SENT_HZ)
            self._pieces += 1
            return frame

    return Pictures(), Sound()


class SoundOut:
    """Sound on its way out: at 48 kHz, whatever comes, in pieces of a 50th of a second; silence where there is none,
    and the oldest gone where it waits."""

    def __init__(self) -> None:
        self._hz = 0
        self._resampler: Any = None
        self._samples: deque[np.ndarray] = deque()

    def put(self, samples: np.ndarray, hz: int) -> None:
        """(n,) int16."""
        import av

        if hz != self._hz:  # an encoder takes one rate for good
            self._hz, self._resampler = hz, av.AudioResampler(format="s16", layout="mono", rate=_SENT_HZ)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = hz
        self._samples.extend(made.to_ndarray()[0] for made in self._resampler.resample(frame))
        while sum(map(len, self._samples)) > _SOUND_S * _SENT_HZ and len(self._samples) > 1:
            self._samples.popleft()

    def piece(self) -> np.ndarray:
        """(960,) int16."""
        wanted = round(_SENT_HZ * _PIECE_S)
        found = np.concatenate(self._samples) if self._samples else np.zeros(0, np.int16)
        self._samples.clear()
        if len(found) > wanted:
            self._samples.append(found[wanted:])
        return np.pad(found[:wanted], (0, max(0, wanted - len(found))))


def _even(picture: np.ndarray) -> np.ndarray:
    """Encoders take even sides."""
    height, width = (side - side % 2 for side in picture.shape[:2])
    return np.ascontiguousarray(picture[:height, :width])
