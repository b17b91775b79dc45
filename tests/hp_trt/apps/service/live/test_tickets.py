from __future__ import annotations

import base64

import pytest

from engines.errors import InputError
from hp_trt.apps.service.live.tickets import TicketRefused, Tickets

SECRET = b"sixteen bytes it is"


class Clock:
    now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tickets(clock) -> Tickets:
    return Tickets(SECRET, clock=clock, ticks=lambda: 0.0)


def test_a_ticket_says_what_it_was_issued_for_also_in_another_process(tickets, clock):
    issued = tickets.issue("session", "me", {"portrait": "p"})
    said = Tickets(SECRET, clock=clock).take(issued)
    assert (said.session, said.caller, said.wishes) == ("session", "me", {"portrait": "p"})


def test_a_ticket_is_good_once(tickets):
    issued = tickets.issue("session", "me", {})
    tickets.take(issued)
    with pytest.raises(TicketRefused, match="was used already; ask for another one with POST /v1/live"):
        tickets.take(issued)
    tickets.take(tickets.issue("session", "me", {}))


@pytest.mark.parametrize("moved_s", [31.1, 3600, -2, -86_400])
def test_a_ticket_is_good_for_half_a_minute_of_a_clock_that_is_not_set(tickets, clock, moved_s):
    issued = tickets.issue("session", "me", {})
    clock.now_s += moved_s
    with pytest.raises(TicketRefused, match="has expired: it is good for 30 s"):
        tickets.take(issued)


def test_a_clock_that_is_set_back_makes_no_used_ticket_good(tickets, clock):
    issued = tickets.issue("session", "me", {})
    tickets.take(issued)
    clock.now_s += 3600
    with pytest.raises(TicketRefused):
        tickets.take(tickets.issue("other", "me", {}) + "x")
    clock.now_s -= 3600
    with pytest.raises(TicketRefused, match="used already"):
        tickets.take(issued)


def test_what_was_used_is_forgotten_in_time(clock):
    passed = [0.0]
    tickets = Tickets(SECRET, clock=clock, ticks=lambda: passed[0])
    for _ in range(50):
        tickets.take(tickets.issue("session", "me", {}))
        passed[0] += 30
    assert len(tickets._used) < 12


def test_every_forged_ticket_is_refused(tickets):
    issued = tickets.issue("session", "me", {})
    body, _, signature = issued.partition(".")
    said = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    mine = base64.urlsafe_b64encode(said.replace(b'"me"', b'"you"')).decode().rstrip("=")
    other = Tickets(SECRET + b"!").issue("session", "me", {})
    forged = [
        "",
        ".",
        body,
        f".{signature}",
        f"{mine}.{signature}",
        other,
        issued + "A",
        issued[:-1],
        "é.é",
        "x" * 10**6,
    ]
    forged += [
        issued[:at] + ("A" if issued[at] != "A" else "B") + issued[at + 1 :] for at in range(0, len(issued) - 1, 7)
    ]
    for ticket in forged:
        with pytest.raises(TicketRefused, match="is not one of this service"):
            tickets.take(ticket)
    tickets.take(issued)


def test_a_short_secret_is_refused():
    with pytest.raises(InputError, match="has 5 bytes; give at least 16"):
        Tickets(b"short")
