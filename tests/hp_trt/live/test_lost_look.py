from dataclasses import replace

import pytest

from hp_trt.live.lost_look import FRAMES, LostLook
from procedural.motion import State
from procedural.people import Person
from tests.hp_trt.faces.test_lost import PX, smeared
from tests.hp_trt.live.fake_stream import open_session, portrait

STILL = Person.random(7).draw(State(), PX)
SMEARED = smeared(STILL)


def of_a_person():
    return replace(portrait(), image=STILL, box=(0, 0, PX, PX))


def looked(look: LostLook, who, frame, count: int) -> tuple[str, ...]:
    for _ in range(count):
        look.see(who, frame)
    look.join()
    return look.notes


def test_a_lost_face_is_told_a_few_seconds_in_and_not_before():
    look, who = LostLook(), of_a_person()
    assert looked(look, who, SMEARED, FRAMES - 1) == ()
    (note,) = looked(look, who, SMEARED, 1)
    assert "the face of the portrait seems lost in the result" in note
    assert looked(look, who, STILL, 3 * FRAMES) == (note,), "once for each portrait"


def test_of_a_face_that_is_kept_nothing_is_told():
    assert looked(LostLook(), of_a_person(), STILL, FRAMES) == ()


def test_another_portrait_is_looked_at_anew():
    look = LostLook()
    assert looked(look, of_a_person(), SMEARED, FRAMES)
    other = of_a_person()
    assert looked(look, other, STILL, 1) == ()
    assert looked(look, other, SMEARED, FRAMES - 1)


@pytest.mark.parametrize("looks", [True, False])
def test_a_session_tells_it_among_its_notes(looks):
    made = 0
    with open_session(portrait=of_a_person(), looks=looks) as session:
        while made <= FRAMES:
            session.push(SMEARED)
            while session.stats.queued_out:
                session.pull()
                made += 1
        session.close()
        for _ in session:
            pass
    assert any("seems lost" in note for note in session.stats.notes) is looks
