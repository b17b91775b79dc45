"""Measuring a machine, on a clock that only the fake graphs move."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from engines.cores import available_cores
from hp_trt.hunyuanportrait.profiles import find_profile
from hp_trt.hunyuanportrait.work import profile_work
from hp_trt.measure.planning import here
from hp_trt.measure.planning.here import Measured, Piece, example, measure, sizes_of
from hp_trt.measure.planning.planned_model import model_of_preset
from hp_trt.profiles import Profile
from runtime.hunyuanportrait.sampling import Sampling
from runtime.work import Call, Work
from tests.fakes import FakeBackend, spec

MODEL = model_of_preset("pocket", size=64, precision="fp32")


class Clock:
    """Seconds that pass when somebody says so; every core is busy meanwhile."""

    def __init__(self):
        self.now_s = 0.0

    def perf_counter(self):
        return self.now_s

    def process_time(self):
        return 2 * self.now_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(here, "time", clock)
    return clock


@pytest.fixture
def decoders(clock):
    """Sessions whose every run takes `seconds`, by graph."""
    backend = FakeBackend()

    def make(**seconds):
        def session(name, takes):
            def run(latents):
                clock.now_s += takes.pop(0) if isinstance(takes, list) else takes
                return {"frames": latents}

            graph = spec(name, {"latents": ("chunk", 4, 8, 8)}, {"frames": ("chunk", 4, 8, 8)}, unit="chunk")
            return backend.session(graph, run)

        model = SimpleNamespace(work=lambda profile, frames: profile_work(profile, MODEL.sampling, frames))
        config = SimpleNamespace(threads=None)
        runtime = SimpleNamespace(backend=backend, profile=find_profile("exact"), model=model, config=config)
        return runtime, {name: session(name, takes) for name, takes in seconds.items()}

    return make


@pytest.fixture(autouse=True)
def clips(monkeypatch):
    """Whether the drawn clip was animated: no more is done with it here."""
    asked = []

    def pieces(room, runtime, *, make, live):
        asked.append(make)
        return {"crop": Piece(seconds=0.25, core_s=0.25, runs=3)}

    monkeypatch.setattr(type(MODEL.room), "host_pieces", pieces)
    monkeypatch.setattr(here, "cores_left", float)
    return asked


def work(*calls):
    return Work(
        mode="clip", frames=8, steps=1, rows=1, windows=1, window=8, new_frames=8, padded=8, graphs={"decode": calls}
    )


def test_a_graph_is_warmed_up_and_its_median_counts(decoders):
    runtime, sessions = decoders(vae_decoder=[9.0, 1.0, 5.0])
    call = Call(graph="vae_decoder", units=8, times=10)
    measured = measure(runtime, sessions, MODEL, work(call))
    # The first run, 9 s, was to warm up; two are enough where they take this long.
    assert measured.graphs["vae_decoder"][0] == Piece(seconds=3.0, core_s=6.0, runs=2)
    timed = measured.graph(MODEL, call)
    assert (timed.seconds, timed.core_s) == pytest.approx((30.0, 60.0))
    assert sessions["vae_decoder"].runs[0] == {"latents": (8, 4, 8, 8)}


def test_quick_graphs_are_run_more_often(decoders):
    runtime, sessions = decoders(vae_decoder=0.1)
    call = Call(graph="vae_decoder", units=8, times=1)
    assert measure(runtime, sessions, MODEL, work(call)).graphs["vae_decoder"][0].runs in (3, 4)  # 0.3 s


def test_the_largest_call_is_tried_and_smaller_ones_take_their_part_of_it(decoders):
    runtime, sessions = decoders(vae_decoder=2.0)
    small, large = (Call(graph="vae_decoder", units=n, times=1) for n in (2, 8))
    measured = measure(runtime, sessions, MODEL, work(small, large))
    assert {run["latents"][0] for run in sessions["vae_decoder"].runs} == {8}
    assert measured.graph(MODEL, small).seconds == pytest.approx(0.5)


def test_a_graph_that_the_bundle_lacks_is_likened_to_the_nearest_and_that_is_said(decoders):
    runtime, sessions = decoders(vae_decoder=2.0)
    tiny, whole = (Call(graph=name, units=8, times=1) for name in ("tiny_decoder", "vae_decoder"))
    measured = measure(runtime, sessions, MODEL, work(tiny, whole))
    share = MODEL.flops(tiny) / MODEL.flops(whole)
    assert measured.graph(MODEL, tiny).seconds == pytest.approx(2.0 * share)
    assert measured.notes == ("tiny_decoder is not in this bundle: it is taken to be as fast, a FLOP, as vae_decoder",)


def test_a_graph_that_would_take_minutes_is_not_tried(decoders):
    runtime, sessions = decoders(tiny_decoder=4.0, vae_decoder=1.0)
    tiny, whole = (Call(graph=name, units=8, times=1) for name in ("tiny_decoder", "vae_decoder"))
    measured = measure(runtime, sessions, MODEL, work(tiny, whole))
    assert not sessions["vae_decoder"].runs
    # 15.38 M a cell and 256 a cell squared, against 1.24 M a cell
    expected_s = 4.0 * (15_380_352 * 64 + 256 * 64**2) / (1_239_552 * 64)
    assert measured.notes[0] == f"vae_decoder was not tried, one call would take about {expected_s:.0f} s"
    assert measured.graph(MODEL, whole).seconds == pytest.approx(expected_s)


def test_a_crowded_machine_is_told(decoders, monkeypatch):
    runtime, sessions = decoders(vae_decoder=1.0)
    call = Call(graph="vae_decoder", units=8, times=1)
    assert measure(runtime, sessions, MODEL, work(call)).cores == available_cores()
    left = [available_cores() / 4, available_cores() / 2]  # before and after
    monkeypatch.setattr(here, "cores_left", lambda cores: left.pop(0))
    measured = measure(runtime, sessions, MODEL, work(call))
    assert measured.cores == pytest.approx(available_cores() * 3 / 8)
    assert f"of {available_cores()} cores {measured.cores:.1f} were left" in measured.notes[-1]


@pytest.mark.usefixtures("no_onnx_runtime")
def test_a_machine_without_onnx_runtime_is_measured_too(decoders):
    runtime, sessions = decoders(vae_decoder=1.0)
    measured = measure(runtime, sessions, MODEL, work(Call(graph="vae_decoder", units=8, times=1)))
    assert measured.cores == available_cores()


def test_threads_that_run_at_a_time_are_counted(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(here, "HASHED_MB", 16)
    assert 0 < here.cores_left(1) <= 1
    assert 0 < here.cores_left(2) <= 2


def test_the_hosts_pieces_are_multiplied():
    measured = Measured(
        name="x",
        cores=2,
        memory_bytes=None,
        takes_turns=False,
        graphs={},
        pieces={"read": Piece(seconds=0.25, core_s=0.5, runs=3)},
        notes=(),
    )
    timed = measured.host("read", 4)
    assert (timed.seconds, timed.core_s) == (1.0, 2.0)


@pytest.mark.parametrize("profile", ["exact", "live", Profile(name="own", sampling={"deep_every": 2})])
def test_every_call_of_a_clip_and_of_a_stream_has_the_sizes_that_its_graph_asks_for(profile):
    from export.hunyuanportrait.graphs import bundle_graphs
    from export.hunyuanportrait.live_graphs import live_graphs
    from export.hunyuanportrait.presets import POCKET
    from export.hunyuanportrait.reuse_graphs import reuse_graphs

    sizes = {"size": 128, "frames": 25}
    made = bundle_graphs(POCKET.architecture, motion_px=96, **sizes)
    made |= live_graphs(POCKET.architecture, **sizes) | reuse_graphs(POCKET.architecture, **sizes)
    chosen = profile if isinstance(profile, Profile) else find_profile(profile)
    for call in (call for calls in profile_work(chosen, Sampling(), 60).graphs.values() for call in calls):
        promise = made[call.graph].spec
        arrays = example(promise, found := sizes_of(call, promise, MODEL.room))
        assert promise.check_inputs(arrays) == found
        assert not promise.unit or found[promise.unit] == call.units
        for dim, size in (("total", call.total), ("frames", call.frames)):
            assert not size or found.get(dim, size) == size


def test_example_inputs_are_what_a_spec_promises():
    arrays = example(spec("g", {"x": ("rows", 3), "a": (1,)}, {"y": ("rows",)}), {"rows": 2})
    assert {name: (a.shape, a.dtype) for name, a in arrays.items()} == {
        "x": ((2, 3), np.float32),
        "a": ((1,), np.float32),
    }


def test_a_clip_that_would_take_long_is_not_made_to_measure_its_writing_and_that_is_said(decoders, clips):
    call = Call(graph="vae_decoder", units=8, times=1)
    for seconds in (0.1, 10.5):  # of eight frames: two such calls are in the clip
        runtime, sessions = decoders(vae_decoder=seconds)
        measured = measure(runtime, sessions, MODEL, work(call))
    assert clips == [True, False]
    assert measured.notes[0].startswith("writing was measured with drawn frames, which are written up to twice as fast")
