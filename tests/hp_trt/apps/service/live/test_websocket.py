from __future__ import annotations


def test_frames_come_back_animated_with_their_drivers_times(serve):
    client = serve()
    with client.connect() as talk:
        assert talk.begin(portrait=20)["size"] == [32, 32]
        for number in range(11):
            talk.send_with_credit(40_000 * number + 17, level=100)
        made = [talk.get() for _ in range(7)]
    assert [came.time_us for came in made] == [40_000 * number + 17 for number in range(7)]
    assert [came.sequence for came in made] == list(range(7))
    assert all(abs(came.level - 120) <= 3 for came in made)
