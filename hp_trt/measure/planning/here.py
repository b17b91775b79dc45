"""How fast this machine is, measured with a bundle's own graphs through the runtime's own backend.

Each graph runs a few times as a clip would run it, and a drawn clip goes through the host's work: reading, finding
faces, cropping, pasting, writing. What is written has to be what the bundle makes, from beginning to end: its frames
have twice the detail of the drawn ones for an encoder, and take it twice as long. A graph that would take too long to
try is taken to be as fast, a FLOP, as the nearest that was tried. Other programs on the machine slow these seconds down
as they slow down everything else.
"""

from __future__ import annotations

import hashlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from engines.backend import Backend, Session
from engines.cores import available_cores
from engines.spec import NetworkSpec, plain_name
from hp_trt.measure.planning.pieces import CLIP_FRAMES, Piece
from hp_trt.measure.planning.planned_model import PlannedModel, PlannedRoom
from hp_trt.measure.planning.predict import Timed
from hp_trt.open_graphs import shared_out
from runtime.streams import Beside
from runtime.work import Call, Work

if TYPE_CHECKING:
    from hp_trt.api import Runtime

LONGEST_S = 20.0  # a call that is expected to take longer is not tried; nor is the drawn clip animated then
CROWDED = 0.8  # a smaller part of the cores than this is told
ENOUGH_S = 0.3  # measured for so long, or so often:
MOST_RUNS, LEAST_RUNS = 12, 2
HASHED_MB = 64  # by each thread, to see how many run at a time: about 0.2 s of SHA-256


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A machine by what it was measured at."""

    name: str
    cores: float  # less what other programs took of them meanwhile
    memory_bytes: int | None
    takes_turns: bool
    graphs: Mapping[str, tuple[Piece, float]]  # with the FLOPs of the call that was measured
    pieces: Mapping[str, Piece]  # of the host, one
    notes: tuple[str, ...]

    def graph(self, model: PlannedModel, call: Call) -> Timed:
        """By the seconds a FLOP of the same graph, or of the one most like it."""
        name = next(n for n in (call.graph, *_alike(call.graph, model), *self.graphs) if n in self.graphs)
        piece, flops = self.graphs[name]
        share = model.flops(call) / flops
        return Timed(seconds=share * piece.seconds, core_s=share * piece.core_s, bound="measured")

    def host(self, stage: str, pieces: int) -> Timed | None:
        piece = self.pieces[stage]
        return Timed(seconds=pieces * piece.seconds, core_s=pieces * piece.core_s, bound="measured")


def measure(
    runtime: Runtime,
    sessions: Mapping[str, Session],
    model: PlannedModel,
    work: Work,
    *,
    calls: Mapping[str, int] | None = None,
    memory_bytes: int | None = None,
) -> Measured:
    """Run what `work` will, with `sessions` by graph, and the host's share. `calls`: how many of a graph's run at one
    time, each of which counts as its part. Some seconds for pocket on two cores."""
    cores_before = cores_left(available_cores())
    largest: dict[str, Call] = {}  # of each graph: most of the work is in those
    notes = []
    for call in (call for calls in work.graphs.values() for call in calls):
        if call.graph not in sessions:
            like = _like(call, sessions, model)
            notes.append(f"{call.graph} is not in this bundle: it is taken to be as fast, a FLOP, as {like.graph}")
            call = like
        if call.graph not in largest or _extent(call) > _extent(largest[call.graph]):
            largest[call.graph] = call
    graphs, not_tried = tried(
        [
            Trial(
                graph=call.graph,
                flops=model.flops(call) / call.times,
                calls=(calls or {}).get(call.graph, 1),
                prepare=partial(_run, runtime, sessions[call.graph], call, model),
            )
            for call in largest.values()
        ],
        asynchronous=runtime.backend.asynchronous,
    )
    notes += not_tried
    idle = Measured(
        name=runtime.backend.device,
        cores=available_cores(),
        memory_bytes=memory_bytes,
        takes_turns=not (runtime.backend.concurrent and shared_out(runtime.config.threads)),
        graphs=graphs,
        pieces={},
        notes=(),
    )
    making_s = _making_s(runtime, model, idle)
    if making_s > LONGEST_S:
        notes.append(
            f"writing was measured with drawn frames, which are written up to twice as fast as those of the networks: "
            f"to make {CLIP_FRAMES} of these would take about {making_s:.0f} s"
        )
    pieces = model.room.host_pieces(runtime, make=making_s <= LONGEST_S, live=work.mode == "live")
    cores = (cores_before + cores_left(available_cores())) / 2
    notes += _crowded(cores)
    return replace(idle, cores=cores, pieces=pieces, notes=tuple(dict.fromkeys(notes)))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One call of a graph that is to be measured. `prepare` makes what runs it, once its turn has come."""

    graph: str
    flops: float
    calls: int = 1  # that run at one time, each of which counts as its part
    prepare: Callable[[], Callable[[], None]]


def tried(trials: Sequence[Trial], *, asynchronous: bool) -> tuple[dict[str, tuple[Piece, float]], list[str]]:
    """What each took, with its FLOPs, by graph; and a note for each that would have taken too long.

    The smallest comes first: how long the others will take is known from those before them.
    """
    found: dict[str, tuple[Piece, float]] = {}
    notes = []
    slowest = 0.0  # seconds a FLOP
    for trial in sorted(trials, key=lambda trial: trial.flops):
        if (expected_s := slowest * trial.flops) > LONGEST_S:
            notes.append(f"{trial.graph} was not tried, one call would take about {expected_s:.0f} s")
            continue
        # On a card the first run of a shape is a plain one, the second is captured, the third is as all others.
        piece = _repeated(trial.prepare(), warmup=2 if asynchronous else 1, calls=trial.calls)
        found[trial.graph] = piece, trial.flops
        if trial.flops > 1e8:  # below, most of the time is overhead
            slowest = max(slowest, piece.seconds / trial.flops)
    return found, notes


def run_of(backend: Backend, session: Session, sizes: Mapping[str, int]) -> Callable[[], None]:
    """What runs a graph on made-up inputs of those sizes, and waits for it."""
    inputs = {name: backend.upload(array) for name, array in example(session.spec, sizes).items()}

    def run() -> None:
        session.run(inputs)
        backend.synchronize()

    return run


def example(spec: NetworkSpec, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Inputs of a graph, by name: unit normal numbers, and zeros where whole numbers are asked for."""
    random = np.random.default_rng(0)
    arrays = {}
    for tensor in spec.inputs:
        shape = tensor.shape_at(sizes)
        whole = np.issubdtype(np.dtype(tensor.dtype), np.integer)
        arrays[tensor.name] = np.zeros(shape, tensor.dtype) if whole else random.standard_normal(shape, np.float32)
        arrays[tensor.name] = arrays[tensor.name].astype(tensor.dtype)
    return arrays


def sizes_of(call: Call, spec: NetworkSpec, room: PlannedRoom) -> dict[str, int]:
    """The run-time sizes of one call of the graph that promises `spec`."""
    named = {"frames": call.frames, "total": call.total, **room.sizes(call), spec.unit: call.units}
    return {dim: named[dim] for dim in spec.ranges}


def _alike(graph: str, model: PlannedModel) -> tuple[str, ...]:
    plain, _ = plain_name(graph)
    return (plain, *model.room.like.get(plain, ()))


def _like(call: Call, sessions: Mapping[str, Session], model: PlannedModel) -> Call:
    """A call of the graph most like one that is not there, as a clip would make it."""
    name = next(name for name in (*_alike(call.graph, model), *sessions) if name in sessions)
    most = [found.max for found in sessions[name].spec.ranges.values()]
    frames, total = model.window if call.frames else 0, model.window if call.total else 0
    return replace(call, graph=name, units=min([call.units, *most]), frames=frames, total=total)


def _making_s(runtime: Runtime, model: PlannedModel, measured: Measured) -> float:
    """What the networks' share of the drawn clip is expected to take."""
    calls = runtime.model.work(runtime.profile, CLIP_FRAMES).graphs.values()
    return sum(measured.graph(model, call).seconds for stage in calls for call in stage)


def _crowded(cores: float) -> list[str]:
    """A note where other programs left only so many cores."""
    if cores >= CROWDED * available_cores():
        return []
    return [
        f"other programs were busy while this was measured: of {available_cores()} cores {cores:.1f} were left; "
        "all of it is faster when the machine is idle, and slower when it gets busier"
    ]


@contextmanager
def cores_note() -> Iterator[list[str]]:
    """A list that holds a note afterwards where other programs were busy meanwhile."""
    notes: list[str] = []
    before = cores_left(available_cores())
    yield notes
    notes += _crowded((before + cores_left(available_cores())) / 2)


def cores_left(cores: int) -> float:
    """How many of `cores` threads ran at a time: all of them on an idle machine. Takes some 0.2 s."""
    data = bytes(1 << 20)

    def hashed() -> None:  # outside of the interpreter's lock
        for _ in range(HASHED_MB):
            hashlib.sha256(data)

    threads = [threading.Thread(target=hashed) for _ in range(cores)]
    start_s, start_core_s = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return min((time.process_time() - start_core_s) / (time.perf_counter() - start_s), float(cores))


def _extent(call: Call) -> int:
    return call.units * max(call.frames, 1)


def _run(runtime: Runtime, session: Session, call: Call, model: PlannedModel) -> Callable[[], None]:
    return run_of(runtime.backend, session, sizes_of(call, session.spec, model.room))


def _repeated(run: Callable[[], None], *, warmup: int, calls: int) -> Piece:
    """The median of some runs, after `warmup` that do not count; of `calls` at one time, each one's part."""
    beside = Beside(calls)

    def run_all() -> None:
        for begun in [beside.begin(run) for _ in range(calls)]:
            begun.result()

    for _ in range(warmup):
        run_all()
    seconds: list[float] = []
    cores: list[float] = []
    while len(seconds) < LEAST_RUNS or (sum(seconds) < ENOUGH_S and len(seconds) < MOST_RUNS):
        start_s, start_core_s = time.perf_counter(), time.process_time()
        run_all()
        seconds.append((time.perf_counter() - start_s) / calls)
        cores.append((time.process_time() - start_core_s) / calls)
    beside.close()
    return Piece(seconds=statistics.median(seconds), core_s=statistics.median(cores), runs=len(seconds))
