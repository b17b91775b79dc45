"""What would meet a wish, on a made-up device whose speed is easy to say."""

from __future__ import annotations

from types import SimpleNamespace

from hp_trt.measure.planning.wishes import Choice, Wish, answer

NOW = Choice(profile="exact", size=512, steps=25)
OTHERS = (("balanced", 24), ("live", 1))
SIZES = (128, 192, 256, 320, 384, 448)


def frames_per_s(choice):
    """100 steps of 512 px a second, more in proportion to the picture's area; "live" is twice as fast."""
    fps = 100 / choice.steps * (512 / choice.size) ** 2 * (2 if choice.profile == "live" else 1)
    return SimpleNamespace(frames_per_s=fps, latency_s=1 / fps)


def asked(kind, value, others=OTHERS, sizes=SIZES):
    return answer(Wish(kind=kind, value=value), NOW, frames_per_s, profiles=others, sizes=sizes)


def test_a_wish_that_is_met_needs_no_advice():
    found = asked("fps", 4.0)
    assert found.met and found.got == 4.0
    assert list(found.lines(NOW)) == [
        "wish         4 frames/s: exact, 25 steps, 512 px gives 4 frames/s, which meets it"
    ]


def test_each_kind_of_change_is_the_smallest_that_meets_the_wish():
    found = asked("fps", 9.0)
    assert not found.met and found.missed_by == 9 / 4
    # 100 / 11 = 9.09, where 12 steps give 8.3; (512 / 320)^2 x 4 = 10.2, where 384 gives 7.1; balanced gives 4.2
    assert found.ways == (
        (Choice(profile="live", size=512, steps=1), 200.0),
        (Choice(profile="exact", size=512, steps=11), 100 / 11),
        (Choice(profile="exact", size=320, steps=25), 4 * (512 / 320) ** 2),
    )
    lines = list(found.lines(NOW))
    assert lines[0].endswith("4 frames/s, which misses it by 2.2 times")
    assert lines[1:] == [
        "             met by profile live, 1 step: 200 frames/s",
        "             met by 11 steps: 9.09 frames/s",
        "             met by 320 px: 10.2 frames/s",
    ]


def test_what_no_single_change_meets_may_be_met_by_two():
    found = asked("fps", 300.0, others=())
    # One step at 512 px gives 100, 25 steps at 128 px 64; the largest size that can do it is 256 px: 400 at one step
    assert found.ways == ((Choice(profile="exact", size=256, steps=1), 400.0),)


def test_what_nothing_meets_is_told_with_what_comes_nearest():
    found = asked("fps", 1e6)
    assert found.ways == ()
    assert found.best == (Choice(profile="live", size=128, steps=1), 3200.0)
    assert list(found.lines(NOW))[1] == (
        "             met by nothing tried; nearest is profile live, 1 step, 128 px: 3.2e+03 frames/s"
    )


def test_where_nothing_can_be_changed_that_is_said():
    only = Choice(profile="exact", size=512, steps=1)
    found = answer(Wish(kind="fps", value=200.0), only, frames_per_s, profiles=(), sizes=())
    assert (found.ways, found.best) == ((), None)
    assert list(found.lines(only))[1].strip() == "met by nothing tried, and nothing tried is nearer"


def test_a_latency_is_met_from_above():
    found = asked("latency", 0.1, others=(), sizes=())
    assert found.missed_by == 2.5
    assert found.ways == ((Choice(profile="exact", size=512, steps=10), 0.1),)
    assert list(found.lines(NOW))[1] == "             met by 10 steps: 0.1 s"
