"""Who lives, as a shared folder says it."""

from __future__ import annotations

import os

import pytest

from tests.hp_trt.apps.scale.conftest import killed, until


def test_processes_see_each_other_and_what_they_say(presences):
    one, other = presences("front"), presences("live")
    other.say(live={"a": 2})
    until(lambda: one.others.get(other.name) == {"kind": "live", "live": {"a": 2}})
    assert one.lives(other.name) and one.lives(one.name) and one.name not in one.others


def test_whoever_is_killed_is_dead_after_its_lease_and_not_before(presences):
    one, other = presences(), presences()
    until(lambda: other.name in one.others)
    killed(other)
    assert one.lives(other.name)
    until(lambda: not one.lives(other.name) and other.name not in one.others, 3)


def test_whoever_ends_in_order_is_gone_at_once(presences):
    one, other = presences(), presences()
    other.close()
    assert not one.lives(other.name)


def test_times_of_the_folder_are_compared_and_no_clock_of_a_machine(presences, tmp_path):
    one, other = presences(every_s=1000), presences(every_s=1000)
    for name in (one.name, other.name):  # the folder's clock is an hour behind
        os.utime(tmp_path / "alive" / name, (1000, 1000))
    assert one.lives(other.name)
    os.utime(tmp_path / "alive" / one.name, (1001, 1001))
    assert not one.lives(other.name)


@pytest.mark.parametrize("name", ["..", "front-0123456789abcdeg", "", "x" * 300])
def test_a_name_that_is_none_does_not_live(presences, name):
    assert not presences().lives(name or "front-0000000000000000")


def test_a_file_that_somebody_removed_is_written_again(presences, tmp_path):
    one = presences()
    (tmp_path / "alive" / one.name).unlink()
    until(lambda: (tmp_path / "alive" / one.name).exists(), 2)


def test_of_a_kind_one_alone_is_the_first(presences):
    fronts = [presences("front") for _ in range(3)]
    presences("aaa")
    until(lambda: all(len(front.others) == 3 for front in fronts))
    assert [front.is_first() for front in fronts].count(True) == 1
    first = next(front for front in fronts if front.is_first())
    killed(first)
    rest = [front for front in fronts if front is not first]
    until(lambda: [front.is_first() for front in rest].count(True) == 1, 3)


def test_what_goes_wrong_in_work_done_each_second_ends_no_life(presences, tmp_path):
    one, seen = presences(), []

    def wrong() -> None:
        raise ValueError("somebody's mistake")

    one.each(wrong)
    one.each(lambda: seen.append(1))
    until(lambda: len(seen) > 2)
