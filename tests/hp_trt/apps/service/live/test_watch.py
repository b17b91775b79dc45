from __future__ import annotations

from hp_trt.apps.service.live.limits import LiveLimits
from hp_trt.apps.service.live.watch import Watch
from tests.hp_trt.live.fake_session import fake_stats

LIMITS = LiveLimits()


def watch(**options) -> Watch:
    made = Watch(LIMITS, begun_s=100.0, **{"faces": True, **options})
    made.connections(1, 100.0)
    return made


def ended(found: Watch, now_s: float, **stats) -> str:
    end = found.look(now_s, fake_stats(**stats) if stats else None)
    return end.reason if end else ""


def test_a_session_without_frames_ends_after_half_a_minute():
    found = watch()
    found.frame(110.0)
    assert (ended(found, 139.9), ended(found, 140.1)) == ("", "idle")


def test_while_the_engine_is_opened_nobody_waits_for_frames():
    found = watch()
    for second in range(0, 100, 10):
        found.opening(100.0 + second)
        assert ended(found, 100.0 + second) == ""
    assert (ended(found, 219.9), ended(found, 220.1)) == ("", "idle"), "and then half a minute again"


def test_a_session_lasts_an_hour_at_most():
    found = watch(faces=False)
    for second in range(0, 3600, 20):
        found.frame(100.0 + second)
        assert ended(found, 100.0 + second) == ""
    found.frame(3700.0)
    assert ended(found, 3700.5) == "over"


def test_a_client_whose_connection_broke_has_five_seconds():
    found = watch()
    found.connections(0, 120.0)
    found.frame(120.0)
    assert ended(found, 124.9) == ""
    found.connections(1, 124.9)
    assert ended(found, 126.0) == ""
    found.connections(0, 126.0)
    assert ended(found, 131.1) == "gone"


def look_at(found: Watch, seconds: range, **per_second: int) -> list[tuple[int, str, bool]]:
    """Ten frames a second; what ends it, and when it says something."""
    said = []
    for second in seconds:
        found.frame(100.0 + second)
        pushed = 10 * (second - seconds.start + 1)
        counts = {name: count * (second - seconds.start + 1) for name, count in per_second.items()}
        said.append((second, ended(found, 100.0 + second, pushed=pushed, **counts), bool(found.note)))
    return said


def test_a_session_without_a_face_is_told_then_ends():
    said = look_at(watch(), range(0, 25), faceless=10)
    assert next(second for second, _, note in said if note) == 11
    assert next(second for second, end, _ in said if end) == 21
    assert next(end for _, end, _ in said if end) == "faceless"


def test_a_face_that_was_there_and_left_counts_from_when_it_left():
    found = watch()
    look_at(found, range(0, 60))
    for second in range(60, 100):
        found.frame(100.0 + second)
        end = ended(found, 100.0 + second, pushed=600 + 10 * (second - 59), held=10 * (second - 59))
        if end:
            break
    assert end == "faceless" and 79 <= second <= 81


def test_frames_on_their_way_are_no_faces():
    """One that was taken and not looked at yet is counted as a face for a moment."""
    found = watch()
    for tick in range(0, 25 * 20):
        now_s = 100 + tick / 20
        found.frame(now_s)
        end = ended(found, now_s, pushed=tick, held=tick - tick % 2)
        if end:
            break
    assert end == "faceless" and now_s < 121.5


def test_speech_needs_no_face():
    assert not [end for _, end, _ in look_at(watch(faces=False), range(0, 60), faceless=10) if end]
