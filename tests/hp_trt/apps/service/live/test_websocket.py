"""The socket from a client's side: what is right with it, and every way to do it wrong."""

from __future__ import annotations

import threading
import time

import pytest
from starlette.websockets import WebSocketDisconnect

from engines.errors import InputError
from hp_trt.apps.service.live import pace
from tests.hp_trt.apps.service.live.fake_engine import NO_FACE, FakeEngine, nothing_runs
from tests.hp_trt.apps.service.live.schema import is_valid
from tests.hp_trt.apps.service.live.talking import JPEG, PCM, PICTURE, PORTRAIT, SOUND, Talk, jpeg, packet
from tests.hp_trt.live.fake_stream import WINDOW


def nothing_is_left(client) -> bool:
    """Within some seconds: sessions end beside whoever asked for it."""
    end_s = time.monotonic() + 10
    while len(client.sessions) and time.monotonic() < end_s:
        threading.Event().wait(0.01)
    return not len(client.sessions) and nothing_runs()


def send_window(talk: Talk, count: int = 11, begin: int = 0, level: int = 100) -> None:
    for number in range(begin, begin + count):
        talk.send_with_credit(40_000 * number + 17, level)


def test_frames_come_back_animated_with_their_drivers_times(serve):
    client = serve()
    with client.connect() as talk:
        assert talk.begin(portrait=20) == {"type": "ready", "size": [32, 32], "resumed": False}
        send_window(talk)
        made = [talk.get() for _ in range(7)]
        talk.say("bye")
        assert talk.end() == ({"type": "bye", "reason": "left", "detail": "the client ended the session"}, 1000)
    assert [came.time_us for came in made] == [40_000 * number + 17 for number in range(7)]
    assert [came.sequence for came in made] == list(range(7))
    assert all(abs(came.level - 120) <= 3 and 0 < came.latency_us < 60_000_000 for came in made)
    assert all(is_valid("server", message) for message in talk.said)
    assert nothing_is_left(client)


def test_another_portrait_is_shown_from_a_window_on_and_one_without_a_face_changes_nothing(serve):
    with serve().connect() as talk:
        talk.begin(portrait=20)
        send_window(talk, 7)
        assert abs(talk.get().level - 120) <= 3
        talk.portrait(NO_FACE)
        error = talk.hear("error")
        assert (error["slug"], error["ends"]) == ("face-not-found", False) and "no face was found" in error["detail"]
        talk.portrait(60)
        assert talk.hear("changed") == {"type": "changed", "what": "portrait"}
        send_window(talk, 12, begin=7)
        levels = [talk.get().level for _ in range(14)]
    assert abs(levels[0] - 120) <= 3 and abs(levels[-1] - 160) <= 3


def test_a_portrait_of_the_services_own_is_found_by_its_id(serve):
    import numpy as np

    def portraits(caller, name):
        return np.full((48, 64, 3), {"me": 30, "you": 90}[caller], np.uint8)

    client = serve(portraits=portraits)
    with client.connect(client.ask(portrait="p-1", seed=3)) as talk:
        assert talk.hello()["portrait"] is True
        assert talk.hear("ready")["size"] == [64, 48]
        send_window(talk, 5)
        assert abs(talk.get().level - 130) <= 3
        talk.say("portrait", portrait="p-2")
        talk.hear("changed")


def test_a_session_without_a_portrait_that_is_found_goes_on_asking(serve):
    client = serve()
    with client.connect() as talk:
        talk.hello()
        talk.say("portrait", portrait="gone")
        assert "there is no portrait 'gone'; send the picture itself" in talk.hear("error")["detail"]
        talk.portrait(NO_FACE)
        assert talk.hear("error")["slug"] == "face-not-found"
        talk.portrait(20)
        talk.hear("ready")


def test_speech_comes_back_with_its_pictures_and_in_step(serve):
    import numpy as np

    with serve(FakeEngine(driver="audio")).connect() as talk:
        assert talk.hello(sound_hz=16_000)["sound_hz"] == 16_000
        talk.portrait(0)
        talk.hear("ready")
        rng = np.random.default_rng(0)
        spoken = rng.integers(-30_000, 30_000, 640 * 11).astype("<i2")
        for number in range(11):
            piece = spoken[640 * number : 640 * (number + 1)]
            talk.socket.send_bytes(
                packet(SOUND, PCM, piece.tobytes(), sequence=number, time_us=10**15 + 40_000 * number)
            )
        sounds = [talk.get(SOUND) for _ in range(7)]
        pictures = [talk.get(PICTURE) for _ in range(7)]
    assert [came.time_us for came in sounds] == [came.time_us for came in pictures]
    assert pictures[3].time_us == 10**15 + 120_000
    heard = np.concatenate([np.frombuffer(came.payload, "<i2") for came in sounds]).astype(int)
    assert np.abs(heard - spoken[: len(heard)]).max() <= 2


def test_a_microphone_beside_a_camera_comes_back_as_late_as_its_pictures(serve):
    with serve().connect() as talk:
        talk.hello(sound_hz=8000)
        talk.portrait(20)
        talk.hear("ready")
        for number in range(8):
            sound = number.to_bytes(2, "little") * 320
            talk.socket.send_bytes(packet(SOUND, PCM, sound, sequence=number, time_us=40_000 * number))
            talk.send_with_credit(40_000 * number)
        kinds = []
        while kinds.count(PICTURE) < 4:
            came = talk.next()
            kinds += [] if isinstance(came, dict) else [came.kind]
        sounds = [came for came in talk.came if came.kind == SOUND]
    assert kinds[0] == SOUND, "it comes before its picture"
    for came in sounds:
        assert came.payload[0] == came.time_us // 40_000


def test_credit_is_what_there_is_room_for_and_pictures_without_are_dropped(serve):
    gate = threading.Event()
    client = serve(FakeEngine(before_denoise=lambda: gate.wait(20), queue=8))
    with client.connect() as talk:
        talk.begin()
        for number in range(30):
            talk.send(40_000 * number)
        stats = talk.hear("stats")
        while stats["taken"] + stats["dropped"]["uncredited"] < 30:
            stats = talk.hear("stats")
        # The queue, and, where credit came between two pictures, a window in each of two stages and one that waits.
        assert stats["taken"] <= 8 + 3 * WINDOW and stats["dropped"]["uncredited"] >= 30 - 8 - 3 * WINDOW
        assert stats["dropped"]["in"] == stats["dropped"]["feed"] == 0
        gate.set()


def test_a_client_that_ignores_credit_is_refused(serve):
    client = serve(uncredited=5)
    with client.connect() as talk:
        talk.hello()
        for number in range(7):
            talk.send(number)
        error, code = talk.end()
    assert code == 4400 and "pictures came without credit" in error["detail"] and error["ends"]
    assert nothing_is_left(client)


def test_the_second_use_of_a_ticket_is_refused_and_disturbs_nobody(serve):
    client = serve()
    asked = client.ask()
    with client.connect(asked) as talk:
        talk.begin(portrait=20)
        with client.connect(asked) as second:
            error, code = second.end()
            assert code == 4401 and "the ticket was used already" in error["detail"]
        send_window(talk, 5)
        assert abs(talk.get().level - 120) <= 3


@pytest.mark.parametrize("ticket", ["", "forged", "a.b", "x" * 3000])
def test_a_forged_ticket_opens_nothing(serve, ticket):
    client = serve()
    with client.connect(ticket=ticket) as talk:
        error, code = talk.end()
    assert code == 4401 and error["slug"] == "ticket-refused"
    assert len(client.sessions) == 0


def test_a_ticket_of_another_session_opens_nothing(serve):
    client = serve()
    mine, other = client.ask(), client.ask()
    with client.connect(mine, ticket=other["ticket"]) as talk:
        error, code = talk.end()
    assert code == 4401 and "for another session" in error["detail"]


def test_an_expired_ticket_opens_nothing(serve):
    client = serve()
    asked = client.ask()
    client.sessions.tickets._clock = lambda: time.time() + 31
    with client.connect(asked) as talk:
        assert "has expired" in talk.end()[0]["detail"]


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"host": "evil.example"}, {"origin": "null"}, {"host": "testserver.x"}],
)
def test_a_page_from_elsewhere_and_a_host_that_is_not_ours_get_no_socket(serve, headers):
    client = serve()
    with pytest.raises(WebSocketDisconnect), client.connect(headers=headers):
        pass
    assert len(client.sessions) == 0


def test_our_own_page_and_one_that_was_named_get_one(serve):
    client = serve(origins=["https://studio.example"])
    for origin in ("http://testserver", "https://studio.example"):
        with client.connect(headers={"origin": origin}) as talk:
            talk.hello()
            talk.say("bye")
            assert talk.end()[1] == 1000


BAD = {
    "no JSON": "{",
    "a list": "[]",
    "another type": '{"type":"format-disk"}',
    "an offer first": '{"type":"offer","sdp":"v=0"}',
    "another version": '{"type":"hello","version":2,"media":"socket"}',
    "no media": '{"type":"hello","version":1}',
    "too long": '{"type":"hello","version":1,"media":"socket","x":"' + "x" * 70_000 + '"}',
    "a packet first": packet(PICTURE, JPEG, b"x"),
}


@pytest.mark.parametrize("first", BAD.values(), ids=BAD)
def test_what_is_no_hello_ends_the_session(serve, first):
    client = serve()
    with client.connect() as talk:
        (talk.socket.send_text if isinstance(first, str) else talk.socket.send_bytes)(first)
        error, code = talk.end()
    assert code == 4400 and error["ends"] and is_valid("server", error)
    assert nothing_is_left(client)


WORSE = {
    "hello again": '{"type":"hello","version":1,"media":"socket"}',
    "an offer where media go over the socket": '{"type":"offer","sdp":"v=0"}',
    "half a header": packet(PICTURE, JPEG, b"x")[:20],
    "a header alone": packet(PICTURE, JPEG, b""),
    "an unknown kind": packet(9, JPEG, b"x"),
    "a picture that is sound": packet(PICTURE, PCM, b"xx"),
    "reserved bytes": packet(PICTURE, JPEG, b"x", zero=1),
    "out of order": packet(PICTURE, JPEG, jpeg(), sequence=5),
    "too large": packet(PICTURE, JPEG, b"x" * 5001),
    "too large a portrait": packet(PORTRAIT, JPEG, b"x" * 9001),
    "far too large": packet(PICTURE, JPEG, b"x" * 50_000),
    "sound that hello did not say": packet(SOUND, PCM, b"xx"),
    "a time after all": packet(PICTURE, JPEG, b"x", time_us=2**60),
}


@pytest.mark.parametrize("message", WORSE.values(), ids=WORSE)
def test_what_the_protocol_does_not_allow_ends_an_open_session(serve, message):
    client = serve(frame_bytes=5000, portrait_bytes=9000)
    with client.connect() as talk:
        talk.begin()
        (talk.socket.send_text if isinstance(message, str) else talk.socket.send_bytes)(message)
        error, code = talk.end()
    assert code == 4400 and error["slug"] == "protocol-error" and is_valid("server", error)
    assert nothing_is_left(client)


def test_a_client_that_says_nothing_is_sent_away(serve):
    client = serve(hello_s=0.1)
    with client.connect() as talk:
        error, code = talk.end()
    assert code == 4408 and "no hello came within 0.1 s" in error["detail"]


def test_damaged_frames_are_told_and_skipped_until_there_are_too_many(serve):
    client = serve(damaged=3)
    with client.connect() as talk:
        talk.begin(portrait=20)
        talk.send_with_credit(0, payload=jpeg()[:-300])
        assert "a frame is a damaged JPEG" in talk.hear("error")["detail"]
        send_window(talk, 6, begin=1)
        assert abs(talk.get().level - 120) <= 3
        for number in range(10, 14):
            talk.send_with_credit(40_000 * number, payload=b"\xff\xd8 no picture")
        assert talk.hear("bye")["reason"] == "damaged"
        assert talk.end()[1] == 4400


def test_messages_without_end_are_refused(serve):
    client = serve()
    with client.connect() as talk:
        talk.begin()
        for _ in range(100):
            talk.say("reanchor")
        error, code = talk.end()
    assert code == 4400 and "more than 10 messages a second came" in error["detail"]


def test_clocks_that_jump_are_followed_and_answered_as_they_were(serve):
    times = [0, 40_000, 10**15, 10**15 + 40_000, 5, 5, 5, 2**53 - 1, 0, 1, 2, 3, 4, 5, 6]
    with serve().connect() as talk:
        talk.begin()
        for time_us in times:
            talk.send_with_credit(time_us)
        made = [talk.get().time_us for _ in range(11)]
    assert made == times[:11]


def test_a_broken_connection_is_taken_up_again_with_another_ticket(serve):
    client = serve()
    asked = client.ask()
    with client.connect(asked) as talk:
        talk.begin(portrait=20)
        send_window(talk, 4)
        talk.get()
    again = client.http.post(f"/v1/live/{asked['id']}/ticket").json()
    with client.connect(again) as talk:
        assert talk.hello()["portrait"] is True
        assert talk.hear("ready") == {"type": "ready", "size": [32, 32], "resumed": True}
        send_window(talk, 9, begin=100)
        assert abs(talk.get().level - 120) <= 3


def test_a_connection_that_comes_back_takes_the_place_of_the_one_before(serve):
    client = serve()
    asked = client.ask()
    with client.connect(asked) as first:
        first.begin(portrait=20)
        again = client.http.post(f"/v1/live/{asked['id']}/ticket").json()
        with client.connect(again) as second:
            second.hello()
            assert second.hear("ready")["resumed"]
            said, code = first.end()
            assert (said["reason"], code) == ("taken-over", 4409)
            send_window(second, 5)
            second.get()


def test_a_client_that_does_not_come_back_keeps_nothing(serve):
    client = serve(return_s=0.1)
    with client.connect() as talk:
        talk.begin()
        send_window(talk, 5)
    assert nothing_is_left(client)


@pytest.mark.parametrize("state", ["connected", "hello", "portrait", "opening", "frames", "frames on their way"])
def test_a_client_may_go_away_at_any_time(serve, state):
    gate = threading.Event()
    opening = gate.wait if state == "opening" else lambda: None
    client = serve(FakeEngine(opening=opening), return_s=0.05)
    with client.connect() as talk:
        if state != "connected":
            talk.hello()
        if state not in ("connected", "hello"):
            talk.portrait(20)
        if state.startswith("frames"):
            talk.hear("ready")
            send_window(talk, 5)
        if state == "frames":
            talk.get()
    gate.set()
    assert nothing_is_left(client)


def test_an_engine_that_opens_slowly_is_waited_for(serve):
    client = serve(FakeEngine(opening=lambda: time.sleep(0.6)), idle_s=0.2)
    with client.connect() as talk:
        talk.begin()
        said, _ = talk.end()
    assert said["reason"] == "idle", "once frames are taken they are missed"


def test_a_session_that_nobody_feeds_ends_with_its_reason(serve):
    client = serve(idle_s=0.2)
    with client.connect() as talk:
        talk.begin()
        said, code = talk.end()
    assert (said["reason"], said["detail"], code) == ("idle", "no frame came for 0.2 s", 1000)


def ended_by(serve, error):
    """A client whose engine failed by `error` in a session, and how that ended: its last message and its code."""

    def fail():
        raise error

    client = serve(FakeEngine(before_denoise=fail))
    with client.connect() as talk:
        talk.begin()
        send_window(talk, 5)
        said, code = talk.end()
    return client, said, code


def test_an_engine_that_fails_ends_the_session_and_says_so(serve):
    client, said, code = ended_by(serve, RuntimeError("the secret path /etc/x"))
    assert code == 1011 and said["reason"] == "engine" and "/etc" not in said["detail"]
    assert nothing_is_left(client)


def test_no_name_of_a_file_of_the_machine_is_told_on_the_socket(serve):
    wrong = [InputError("/state/owners/me/file was encoded by another graph; encode it again")]

    def find(caller, name):
        raise wrong[0]

    client = serve(portraits=find)
    with client.connect() as talk:
        talk.hello()
        talk.say("portrait", portrait="x")
        said = talk.hear("error")
        assert "/state" not in said["detail"] and "was encoded by another graph" in said["detail"]
    _, said, code = ended_by(serve, InputError("/opt/bundles/x is damaged"))
    assert code == 1011 and "/opt" not in said["detail"] and "is damaged" in said["detail"]


def test_an_engine_that_is_late_is_asked_less_of_and_says_why(serve, monkeypatch):
    monkeypatch.setattr(pace, "_LATE_S", 0.1)
    gate = threading.Event()
    client = serve(FakeEngine(before_denoise=lambda: gate.wait(20), queue=4))
    with client.connect() as talk:
        talk.begin()
        # A window that is denoised, one that waits for it, one that was seen, and the queue.
        send_window(talk, 3 + 4 + 4)
        while not any(message["type"] == "rate" for message in talk.said):
            if talk.credit > talk.sent:
                talk.send(40_000 * talk.sent)
            talk.next()
        rate = next(message for message in talk.said if message["type"] == "rate")
        stats = talk.hear("stats")
        gate.set()
    assert rate["frames_per_s"] == 4 and "frames come faster than the 0.0 a second" in rate["why"]
    assert stats["late"] and stats["why"] == "engine"
