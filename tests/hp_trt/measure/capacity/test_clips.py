"""The simulation of clips, held against formulas and against small cases by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.measure.capacity.clips import Load, devices_for, simulate


def erlang_c_mean_wait(per_s, takes_s, devices):
    """Of Poisson arrivals and exponential service: Erlang's formula of 1917."""
    offered = per_s * takes_s
    terms = [offered**k / math.factorial(k) for k in range(devices)]
    last = offered**devices / math.factorial(devices) * devices / (devices - offered)
    return last / (sum(terms) + last) * takes_s / (devices - offered)


@pytest.mark.parametrize(("devices", "used"), [(1, 0.5), (2, 0.8), (5, 0.9), (20, 0.9)])
def test_mean_waits_are_erlangs(devices, used):
    takes = np.random.default_rng(1).exponential(1.0, 400_000)
    takes_s = float(takes.mean())
    load = Load(clips=400_000, every_s=takes_s / (devices * used), takes_s=takes)
    # 400 000 clips that wait in each other's way: a few percent of the mean.
    expected = erlang_c_mean_wait(devices * used / takes_s, takes_s, devices)
    assert simulate(load, devices).waits_s.mean() == pytest.approx(expected, rel=0.06)


def test_what_is_all_there_takes_as_many_rounds_as_devices_need():
    load = Load(clips=20, every_s=None, takes_s=[3.0])
    one, two, three = (simulate(load, devices) for devices in (1, 2, 3))
    assert (one.all_s, two.all_s, three.all_s) == (60, 30, 21) and (one.busy, two.busy) == (1, 1)
    assert three.busy == pytest.approx(60 / 63) and two.wait_s(1.0) == 27 and list(two.waits_s[:3]) == [0, 0, 3]


def test_the_fewest_devices_are_enough_and_one_less_is_not():
    load = Load(clips=20_000, every_s=1.0, takes_s=[8.0, 12.0])
    devices = devices_for(load, most_wait_s=5.0)
    assert devices >= 10, "ten are busy on average"
    assert simulate(load, devices).wait_s(0.95) <= 5.0 < simulate(load, devices - 1).wait_s(0.95)
    assert devices_for(Load(clips=1000, every_s=100.0, takes_s=[0.1]), most_wait_s=5.0) == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"clips": 0}, "at least 1 clip, got 0"),
        ({"every_s": 0.0}, "above 0, got 0.0"),
        ({"every_s": math.nan}, "above 0, got nan"),
        ({"takes_s": []}, r"clips take seconds above 0, got \[\]"),
        ({"takes_s": [1.0, -1.0]}, "clips take seconds above 0"),
    ],
)
def test_a_load_that_cannot_be_is_refused(given, says):
    with pytest.raises(InputError, match=says):
        Load(**{"clips": 1, "every_s": 1.0, "takes_s": [1.0], **given})


def test_no_device_and_a_load_at_once_are_refused():
    with pytest.raises(InputError, match="at least 1 device, got 0"):
        simulate(Load(clips=1, every_s=None, takes_s=[1.0]), 0)
    with pytest.raises(InputError, match="waits however many devices"):
        devices_for(Load(clips=1, every_s=None, takes_s=[1.0]), most_wait_s=1.0)
