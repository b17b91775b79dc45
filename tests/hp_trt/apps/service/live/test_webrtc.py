"""WebRTC, WHIP and WHEP with a peer of aiortc's own on the other side, in one event loop."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import asynccontextmanager
from fractions import Fraction

import httpx
import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.apps.service.live import webrtc
from hp_trt.apps.service.live.engine import Wishes
from hp_trt.apps.service.live.sessions import LiveSessions
from tests.hp_trt.apps.service.live.conftest import application
from tests.hp_trt.apps.service.live.fake_engine import FakeEngine, nothing_runs, picture
from tests.hp_trt.apps.service.live.talking import limits

pytest.importorskip("aiortc")

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

SIZE = 96
SDP = {"content-type": "application/sdp"}


class Camera(VideoStreamTrack):
    """30 pictures a second of one level."""

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame.from_ndarray(picture(100, SIZE), format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    """A loud one, 48 kHz."""

    async def recv(self) -> av.AudioFrame:
        silent = await super().recv()  # keeps the time, at 8 kHz
        wave = (20_000 * np.sin(np.arange(960) * 0.1)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
        frame.pts = silent.pts * 6
        return frame


def sessions_of(engine: FakeEngine | None = None, **given) -> LiveSessions:
    return LiveSessions(
        engine or FakeEngine(), limits=limits(**given), portraits=lambda caller, name: picture(20, SIZE)
    )


@asynccontextmanager
async def peer_of(*, sends=(), receives=()):
    """A client, what it received by kind, and its offer."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    tracks = {}
    peer.on("track", lambda track: tracks.update({track.kind: track}))
    for track in sends:
        peer.addTrack(track)
    for kind in receives:
        peer.addTransceiver(kind, direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    try:
        yield peer, tracks, peer.localDescription.sdp
    finally:
        await peer.close()


async def accept(peer, sdp: str) -> None:
    await peer.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))


async def opened(sessions: LiveSessions):
    session, ticket = sessions.reserve("me", Wishes(portrait="p"))
    channel = sessions.enter(session, ticket)
    while not channel.open:
        await asyncio.sleep(0.005)
    return channel


def run(work) -> None:
    async def bounded():
        async with asyncio.timeout(8):
            await work()

    asyncio.run(bounded())
    assert nothing_runs()


def test_a_camera_comes_back_animated_and_its_microphone_with_it():
    async def work():
        sessions = sessions_of()
        channel = await opened(sessions)
        peer = webrtc.Peer(channel, ice_servers=(), join=True)
        async with peer_of(sends=[Camera(), Tone()]) as (client, tracks, offer):
            await accept(client, await peer.answer(offer, sends=True, receives=True))
            levels = [(await tracks["video"].recv()).to_ndarray(format="rgb24")[40, 40].mean() for _ in range(8)]
            assert abs(np.median(levels) - 120) < 5
            loud = 0
            while loud < 8000:
                loud = int(np.abs((await tracks["audio"].recv()).to_ndarray()).max())
            assert channel.health.pace.rate == 30
        await peer.close()
        await sessions.close()

    run(work)


def test_nothing_but_our_own_addresses_is_in_an_answer_and_no_server_is_asked():
    async def work():
        sessions = sessions_of()
        peer = webrtc.Peer(await opened(sessions), ice_servers=())
        async with peer_of(sends=[Camera()]) as (_, _, offer):
            answer = await peer.answer(offer, sends=True, receives=True)
        assert "typ host" in answer and "srflx" not in answer and "relay" not in answer
        assert peer._peer._RTCPeerConnection__configuration.iceServers == []
        await peer.close()
        await sessions.close()

    run(work)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda sdp: "", "it has no fingerprint"),
        (lambda sdp: "v=0\r\nnothing", "it has no fingerprint"),
        (lambda sdp: sdp.replace("a=fingerprint", "a=finger"), "it has no fingerprint"),
        (lambda sdp: sdp[: len(sdp) // 3], "cannot be understood"),
        (lambda sdp: sdp.replace("m=video", "m=application"), "cannot be understood|neither"),
        (lambda sdp: sdp + "m=video 9 UDP/TLS/RTP/SAVPF 97\r\n" * 9, "tracks, at most 4 are taken"),
        (lambda sdp: sdp + "a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n" * 99, "candidates, at most 40"),
        (lambda sdp: sdp + "x" * 70_000, "characters, at most 65536 are read"),
    ],
)
def test_an_offer_that_is_none_is_refused_and_leaves_nothing(change, said):
    async def work():
        sessions = sessions_of()
        channel = await opened(sessions)
        peer = webrtc.Peer(channel, ice_servers=(), join=True)
        async with peer_of(sends=[Camera()]) as (_, _, offer):
            with pytest.raises(InputError, match=said):
                await peer.answer(change(offer), sends=True, receives=True)
        assert not channel._peers and not channel._showing.viewers
        await sessions.close()

    run(work)


def test_without_the_library_the_socket_works_and_an_offer_is_refused(serve, monkeypatch):
    monkeypatch.setitem(sys.modules, "aiortc", None)
    monkeypatch.setattr(webrtc, "find_spec", lambda name: None)
    with serve().connect() as talk:
        assert talk.hello(media="webrtc")["webrtc"] is False
        talk.say("offer", sdp="v=0")
        error = talk.hear("error")
        assert (error["slug"], error["ends"]) == ("webrtc", False)
        assert "aiortc, which is not installed" in error["detail"] and "pip install '.[rtc]'" in error["detail"]
    with serve().connect() as talk:
        talk.begin()


def test_obs_sends_by_whip_and_a_player_watches_by_whep():
    async def work():
        sessions = sessions_of(return_s=0.2)
        http = httpx.AsyncClient(transport=httpx.ASGITransport(application(sessions)), base_url="http://testserver")
        session = (await http.post("/v1/live", json={"portrait": "p"})).json()["id"]
        async with (
            peer_of(sends=[Camera()]) as (sender, _, offer),
            peer_of(receives=["video"]) as (player, seen, wish),
        ):
            sent = await http.post(f"/v1/live/{session}/whip", content=offer, headers=SDP)
            assert sent.status_code == 201 and sent.headers["content-type"].startswith("application/sdp")
            await accept(sender, sent.text)
            again = await http.post(f"/v1/live/{session}/whip", content=offer, headers=SDP)
            assert again.status_code == 429 and "1 are there by whip already" in again.json()["detail"]
            watched = await http.post(f"/v1/live/{session}/whep", content=wish, headers=SDP)
            await accept(player, watched.text)
            levels = [(await seen["video"].recv()).to_ndarray(format="rgb24")[40, 40].mean() for _ in range(5)]
            assert abs(np.median(levels) - 120) < 5
            for answer in (watched, sent):
                assert (await http.delete(answer.headers["location"])).status_code == 200
                assert (await http.delete(answer.headers["location"])).status_code == 404
            while len(sessions):  # who sends kept it alive
                await asyncio.sleep(0.01)
        await http.aclose()

    run(work)


def test_a_server_that_was_named_is_asked_by_this_side():
    from hp_trt.apps.service.ice import IceServer

    async def work():
        asked: list[bytes] = []

        class Stun(asyncio.DatagramProtocol):
            def connection_made(self, transport):
                self.transport = transport

            def datagram_received(self, data, addr):
                """A binding request, whose answer is where it came from (RFC 8489)."""
                asked.append(data)
                cookie, host = data[4:8], socket.inet_aton("203.0.113.7")
                port = (addr[1] ^ int.from_bytes(cookie[:2], "big")).to_bytes(2, "big")
                seen = b"\0\x20\0\x08\0\x01" + port + bytes(a ^ b for a, b in zip(host, cookie, strict=True))
                self.transport.sendto(b"\x01\x01" + len(seen).to_bytes(2, "big") + data[4:20] + seen, addr)

        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Stun, local_addr=("127.0.0.1", 0))
        port = transport.get_extra_info("sockname")[1]
        server = IceServer(urls=(f"stun:127.0.0.1:{port}",)).to_json()
        sessions = sessions_of()
        peer = webrtc.Peer(await opened(sessions), ice_servers=[server])
        async with peer_of(sends=[Camera()]) as (_, _, offer):
            answer = await peer.answer(offer, sends=True, receives=True)
        assert asked and "203.0.113.7" in answer and "srflx" in answer
        await peer.close()
        await sessions.close()
        transport.close()

    run(work)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [({}, "v=0", 415), ({"content-type": "application/json"}, "{}", 415), (SDP, "v=0", 422), (SDP, "x" * 70_000, 413)],
    ids=["no type", "another type", "no offer", "too long"],
)
def test_what_is_no_offer_is_told_by_its_kind(headers, body, status):
    async def work():
        sessions = sessions_of()
        http = httpx.AsyncClient(transport=httpx.ASGITransport(application(sessions)), base_url="http://testserver")
        session = (await http.post("/v1/live", json={"portrait": "p"})).json()["id"]
        answer = await http.post(f"/v1/live/{session}/whep", content=body, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        await sessions.close()
        await http.aclose()

    run(work)


def test_a_session_without_a_portrait_cannot_be_sent_to_by_whip():
    async def work():
        sessions = sessions_of()
        http = httpx.AsyncClient(transport=httpx.ASGITransport(application(sessions)), base_url="http://testserver")
        session = (await http.post("/v1/live")).json()["id"]
        answer = await http.post(f"/v1/live/{session}/whip", content="v=0", headers=SDP)
        assert answer.status_code == 422 and "the session has no portrait" in answer.json()["detail"]
        await sessions.close()
        await http.aclose()

    run(work)


def test_sound_goes_out_without_a_gap_and_what_is_late_is_left_out():
    out = webrtc.SoundOut()
    assert out.piece().tolist() == [0] * 960, "silence before there is any"
    for number in range(100):
        out.put(np.full(1920, number, np.int16), 48_000)
    heard = np.concatenate([out.piece() for _ in range(20)])
    assert len(heard) == 20 * 960 and heard[-1] == 0
    assert heard[0] == 94 and heard[: 6 * 1920].tolist() == [number for number in range(94, 100) for _ in range(1920)]


@pytest.mark.parametrize("hz", [8_000, 16_000, 44_100, 48_000])
def test_sound_of_any_rate_goes_out_as_it_is_heard(hz):
    out = webrtc.SoundOut()
    out.piece()
    wave = 10_000 * np.sin(2 * np.pi * 400 * np.arange(hz // 5) / hz)
    out.put(wave.astype(np.int16), hz)
    heard = np.concatenate([out.piece() for _ in range(9)])
    spectrum = np.abs(np.fft.rfft(heard[1000:7000]))
    assert abs(np.argmax(spectrum) * 48_000 / 6000 - 400) < 10 and np.abs(heard[1000:7000]).max() > 9000
