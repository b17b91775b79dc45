"""What is measured of moods, of faces whose moods are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from hp_trt.measure.evaluation.mood_table import show_moods
from hp_trt.measure.evaluation.moods import OTHERS, DrawnInMoods, asked, mood_columns
from hp_trt.measure.evaluation.spoken import SpokenPairs, said
from hp_trt.measure.metrics.judge import Reading
from hp_trt.measure.metrics.parameters import seen
from procedural.motion import NAMES, State
from procedural.speech import MOODS, talking
from runtime.hallo2.presets import FPS

PX, FRAMES = 32, 30
SEEDS = range(4, 6)


class Told:
    """Its frames are no pictures but what `read` is to find in them."""

    kind = "bundle"

    def __init__(self, name: str, states: Callable[[int, str], Sequence[State]]) -> None:
        self.name, self._states = name, states

    def facts(self) -> dict[str, Any]:
        return {"preset": "fake", "precision": "fp32", "weights": "trained", "profile": "live",
                "sampling": {"steps": 1, "seed": 2}}  # fmt: skip

    @contextmanager
    def in_moods(self) -> Iterator[Callable]:
        yield lambda pair, mood: list(seen(self._states(int(pair.name), mood)))


def read(frames: Sequence[np.ndarray]) -> Reading:
    return Reading(landmarks=np.zeros((len(frames), 1, 2)), parameters=np.stack(frames))


def drawn(seed: int, mood: str) -> Sequence[State]:
    return talking(seed, said(seed, FRAMES).phonemes, FRAMES, fps=FPS, mood=mood)


def deaf(seed: int, mood: str) -> Sequence[State]:
    return drawn(seed, "neutral")


def turned_round(seed: int, mood: str) -> Sequence[State]:
    """Happy where sad is asked, and a mouth that is shut in every mood but the neutral one."""
    other = {"happy": "sad", "sad": "happy"}.get(mood, mood)
    states = drawn(seed, other)
    if mood == "neutral":
        return states
    return [State(**{**{name: getattr(s, name) for name in NAMES}, "jaw": 0.0}) for s in states]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    source = SpokenPairs(SEEDS, FRAMES)
    speakers = [Told("right", drawn), Told("deaf", deaf), Told("wrong", turned_round)]
    columns = mood_columns(speakers, source, read, crop_px=PX, on_progress=lambda *_: None)
    made = {
        "moods": asked(),
        "clips": list(source.names),
        "frames": FRAMES,
        "size": PX,
        "source": source.facts(),
        "columns": [column.to_json() for column in columns],
        "notes": ["nobody's"],
    }
    return json.loads(json.dumps(made, allow_nan=False))


def test_what_a_mood_is_asked_is_what_drawn_people_do_in_it():
    found = asked()
    assert list(found) == list(OTHERS) == [mood for mood in MOODS if mood != "neutral"]
    assert found["happy"] == {"corners": 0.65, "brows": 0.2, "lids": 0.12}
    assert found["surprised"] == {"brows": 0.9, "lids": -0.15}
    assert found["sad"]["corners"] < 0 < found["sad"]["lids"]


def test_who_does_what_is_asked_moves_so_in_every_clip_and_still_says_the_same(report):
    right = report["columns"][0]
    assert right["jaw"]["mean"] == pytest.approx(1) and len(right["jaw"]["clips"]) == len(SEEDS)
    for mood, offsets in report["moods"].items():
        found = right["moods"][mood]
        assert abs(found["jaw"]["change"]) < 0.05
        for what, offset in offsets.items():
            one = found["seen"][what]
            assert one["asked"] == offset and one["shift"] * offset > 0
            assert one["moved"] == len(SEEDS) or (mood, what) == ("surprised", "lids"), "open eyes open no further"
    corners = right["moods"]["happy"]["seen"]["corners"]
    assert 0.4 < corners["shift"] <= 0.65 and corners["shift"] == pytest.approx(np.mean(corners["clips"]))


def test_who_does_not_hear_of_moods_moves_nothing(report):
    for found in report["columns"][1]["moods"].values():
        assert found["jaw"]["change"] == 0
        assert all(one["shift"] == one["moved"] == 0 for one in found["seen"].values())


def test_a_mood_that_is_turned_round_moves_no_clip_as_asked_and_a_shut_mouth_costs_the_jaw(report):
    wrong = report["columns"][2]
    assert wrong["moods"]["happy"]["seen"]["corners"]["moved"] == 0
    assert wrong["moods"]["angry"]["seen"]["brows"]["moved"] == len(SEEDS)
    assert wrong["moods"]["angry"]["jaw"] == {"mean": 0, "change": pytest.approx(-1), "clips": [0, 0]}


def test_drawn_people_in_a_mood_are_pictures_of_the_pairs_size_and_neutral_ones_its_truth():
    source = SpokenPairs(range(4, 5), 25)
    pair = source.pair(0, PX)
    with DrawnInMoods(source=source).in_moods() as speak:
        np.testing.assert_array_equal(speak(pair, "neutral"), pair.truth)
        happy = np.stack(speak(pair, "happy"))
    assert happy.shape == (25, PX, PX, 3) and (happy != np.stack(list(pair.truth))).any()


def test_the_table_has_a_row_for_what_is_seen_and_one_for_the_jaw(report, capsys):
    show_moods(report, Console(width=200, highlight=False))
    lines = capsys.readouterr().out.splitlines()
    corners = next(line for line in lines if line.startswith("happy: lip corners"))
    assert "+0.65" in corners and "2 of 2" in corners and "0 of 2" in corners
    jaw = next(line for line in lines if line.startswith("angry: how the jaw follows"))
    assert jaw.split()[-1] == "-1.000"
    assert "the jaw follows the speech, without a mood: right 1.000, deaf 1.000, wrong 1.000" in lines
    assert "2 clips of 30 frames, seeds 4:6, compared at 32 px" in lines and lines[-1] == "note: nobody's"
