"""Sends a video to a service by WHIP and watches what comes back by WHEP, as two peers of aiortc's.

    python tests/rtc_peer.py URL PORTRAIT VIDEO [SECONDS]

prints how many pictures came back, which end the waiting at 3, or what went wrong, with exit code 1. It needs aiortc
alone, and nothing of ours, so that it can be typed in an environment that has our wheel.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import urllib.request

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import VideoStreamTrack

_PICTURES = 3
_FAR = 300.0  # seconds: the first picture waits until networks are loaded


class Film(VideoStreamTrack):
    """A video's pictures, 30 a second, over and over."""

    def __init__(self, path: str) -> None:
        super().__init__()
        with av.open(path) as file:
            self._pictures = itertools.cycle([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame.from_ndarray(next(self._pictures), format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


def post(url: str, data: bytes, kind: str) -> bytes:
    """What the service answers. Raises HTTPError, which says with which problem."""
    asked = urllib.request.Request(url, data, {"content-type": kind})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return bytes(answer.read())


async def connected(peer: RTCPeerConnection, url: str) -> None:
    """Negotiate: an offer, and the answer that the service gives."""
    await peer.setLocalDescription(await peer.createOffer())
    offer = peer.localDescription.sdp.encode()
    answer = await asyncio.to_thread(post, url, offer, "application/sdp")
    await peer.setRemoteDescription(RTCSessionDescription(sdp=answer.decode(), type="answer"))


async def watched(url: str, portrait: str, video: str) -> int:
    """How many pictures came back. Raises TimeoutError, HTTPError and what a peer raises."""
    with open(portrait, "rb") as file:
        kept = json.loads(await asyncio.to_thread(post, f"{url}/v1/portraits", file.read(), "image/png"))
    wishes = json.dumps({"portrait": kept["id"]}).encode()
    begun = json.loads(await asyncio.to_thread(post, f"{url}/v1/live", wishes, "application/json"))
    session = f"{url}/v1/live/{begun['id']}"
    sender, viewer = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    try:
        sender.addTrack(Film(video))
        await connected(sender, f"{session}/whip")
        receiver = viewer.addTransceiver("video", direction="recvonly").receiver
        await connected(viewer, f"{session}/whep")
        pictures = 0
        while pictures < _PICTURES:
            await receiver.track.recv()
            pictures += 1
        return pictures
    finally:
        await asyncio.gather(sender.close(), viewer.close())


async def main() -> None:
    url, portrait, video, *seconds = sys.argv[1:]
    try:
        async with asyncio.timeout(float(seconds[0]) if seconds else _FAR):
            print(f"{await watched(url.rstrip('/'), portrait, video)} pictures came back")
    except Exception as error:
        body = error.read().decode(errors="replace") if hasattr(error, "read") else ""
        sys.exit(f"{type(error).__name__}: {error} {body}")


if __name__ == "__main__":
    asyncio.run(main())
