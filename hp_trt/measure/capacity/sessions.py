"""Live sessions and places for them: nobody waits, whoever finds no place is told so.

Sessions that begin by chance and last as long as they like find all places taken with a probability that depends on
their mean number alone (Erlang's loss formula, 1917): exact whatever the lengths are.
"""

from __future__ import annotations

from engines.errors import InputError


def refused(sessions: float, places: int) -> float:
    """The share of sessions that find no place. `sessions`: how many there would be at a time, on average.

    B(0) = 1, B(n) = s B(n - 1) / (n + s B(n - 1)). Raises InputError for fewer than none.
    """
    if sessions < 0 or places < 0:
        raise InputError(f"sessions and places are at least 0, got {sessions} and {places}")
    share = 1.0
    for place in range(1, places + 1):
        share = sessions * share / (place + sessions * share)
    return share


def places_for(sessions: float, *, most_refused: float) -> int:
    """The fewest places with which at most this share is refused. Raises InputError for a share that is none."""
    if not 0 < most_refused <= 1:
        raise InputError(f"a share of sessions is above 0 and at most 1, got {most_refused}")
    share, places = 1.0, 0
    while share > most_refused:
        places += 1
        share = sessions * share / (places + sessions * share)
    return places
