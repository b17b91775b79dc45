"""One process works on a job at a time, whatever happens to any."""

from __future__ import annotations

import threading

import pytest

from hp_trt.apps.scale import claims
from tests.hp_trt.apps.scale.conftest import killed, until


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "job"
    made.mkdir()
    return made


def test_a_turn_is_one_processs_until_it_is_over(presences, folder):
    one, other = presences(), presences()
    turn = claims.claim(folder, one)
    assert turn is not None and turn.holds() and not claims.is_left(folder, other)
    assert claims.claim(folder, other) is None and claims.claim(folder, one) is None
    turn.end()
    second = claims.claim(folder, other)
    assert second is not None and second.number == 2 and not turn.holds()


def test_the_turn_of_a_process_that_died_is_followed_and_it_learns_that_if_it_lives(presences, folder):
    one, other = presences(), presences()
    turn = claims.claim(folder, one)
    assert turn is not None
    killed(one)
    until(lambda: claims.is_left(folder, other), 3)
    after = claims.claim(folder, other)
    assert after is not None and after.holds() and not turn.holds()
    turn.end()
    assert claims.claim(folder, presences()) is None, "an end that comes late ends no other's turn"


def test_of_many_at_once_one_has_the_turn(presences, folder):
    presence, found = presences(), []
    gate = threading.Barrier(8)

    def try_it() -> None:
        gate.wait()
        for _ in range(20):
            if (turn := claims.claim(folder, presence)) is not None:
                found.append(turn.number)

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1]


def test_what_asked_a_turn_to_stop_asks_no_later_one(presences, folder):
    one = presences()
    turn = claims.claim(folder, one)
    claims.ask_to_stop(folder)
    assert turn is not None and claims.is_asked_to_stop(folder)
    turn.end()
    assert not claims.is_asked_to_stop(folder)


def test_a_job_that_is_gone_is_told(presences, folder):
    turn = claims.claim(folder, presence := presences())
    assert turn is not None
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    turn.end()
    with pytest.raises(FileNotFoundError):
        turn.holds()
    with pytest.raises(FileNotFoundError):
        claims.claim(folder, presence)
