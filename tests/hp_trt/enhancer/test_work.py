"""What is counted is what an enhancement really calls."""

from __future__ import annotations

from collections import Counter

import pytest

from hp_trt import Enhancer
from hp_trt.enhancer.networks import GRAPHS
from hp_trt.enhancer.options import Options
from hp_trt.enhancer.work import calls
from tests.hp_trt.enhancer.stand_in import StandIn, frame, make_bundle

SIZE = 450, 401  # wide, odd, two tiles


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle") / "b").path


@pytest.mark.parametrize(
    ("given", "frames"),
    [
        ({}, 30),
        ({"restore": False}, 2),
        ({"upscale": False, "scale": 4}, 17),
        ({"face_upsample": True}, 2),
        ({"scale": 4, "repeat": True, "face_upsample": True}, 1),
    ],
)
def test_as_many_calls_of_the_same_sizes_are_counted_as_are_made(bundle, given, frames):
    backend = StandIn()
    with Enhancer(bundle, backend=backend) as enhancer:
        made = list(enhancer.frames([frame(number, SIZE) for number in range(frames)], **given))
        roles = Options(**given).roles(tuple(enhancer.roles))
    assert all(one.has_face for one in made) == ("restorer" in roles)
    counted = calls(frames, *SIZE, Options(**given), roles)
    for role, graph in GRAPHS.items():
        seen = Counter(backend.calls_of[graph])
        told = Counter()
        for call in counted.get(role, ()):
            told[call.units, 3, call.height, call.width] += call.times
        assert told == seen, role


def test_a_released_run_looks_at_512_pixels_at_least(bundle):
    backend = StandIn()
    with Enhancer(bundle, backend=backend) as enhancer:
        list(enhancer.frames([frame(number) for number in range(2)], released=True))
    (call,) = calls(1, 96, 80, Options(released=True), tuple(GRAPHS))["detector"]
    assert backend.calls_of["enhance_detector"] == [(1, 3, call.height, call.width)] and call.height == 640
