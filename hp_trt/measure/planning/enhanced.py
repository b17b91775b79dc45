"""A plan of an enhancement: what every choice takes in arithmetic, time and memory, a row a choice.

Each graph is counted (`hp_trt.enhancer.counts`) and called as an enhancement of so many frames calls it
(`hp_trt.enhancer.work`), every one of which shows a face. Seconds are those of the graphs, one after the other: on one
device they take turns, or its cores. Reading, pasting, Lanczos and writing are the host's, beside them, and in no
number. Memory is what the enhancer predicts before it begins (`hp_trt.enhancer.memory`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from engines.bundle import Bundle
from engines.errors import InputError
from engines.families import FamilyName, find
from engines.gpu import Gpu as InstalledGpu
from engines.gpu import find_gpu
from hp_trt.config import RuntimeConfig
from hp_trt.enhancer.counts import COUNTS
from hp_trt.enhancer.memory import predicted_bytes
from hp_trt.enhancer.networks import FACES, GRAPHS
from hp_trt.enhancer.opened import roles_of
from hp_trt.enhancer.pipeline import result_size
from hp_trt.enhancer.profiles import PROFILES, lacks, options_of
from hp_trt.enhancer.work import Call, calls
from hp_trt.interface.auto_family import settled_family
from hp_trt.measure.planning.counts import CELL_PX
from hp_trt.measure.planning.gpus import HERE, find_card
from hp_trt.measure.planning.here import Trial, cores_note, run_of, tried
from hp_trt.measure.planning.pieces import Piece
from hp_trt.measure.planning.plan import Plan, PredictConfig, plan
from hp_trt.measure.planning.predict import CUDA_CONTEXT_BYTES, Card, Timed
from hp_trt.profiles import Profile
from hp_trt.shipped import ENHANCER_POCKET_BUNDLE
from runtime.enhancer.presets import HALF, MODEL, PRESETS

_ELEMENT = {"float32": 4, "float16": 2}


@dataclass(frozen=True, kw_only=True)
class Graphs:
    """The graphs of a preset or of a bundle."""

    preset: str
    precision: str  # "fp32" | "fp16"
    roles: tuple[str, ...]
    weights: Mapping[str, int]  # by role: bytes

    def dtype(self, role: str) -> str:
        return "float16" if self.precision == "fp16" and GRAPHS[role] in HALF else "float32"

    def of_call(self, what: str, call: Call) -> float:
        """ "flops", "moved" or "held" of one call: operations, or elements."""
        cells = call.height * call.width / CELL_PX**2
        return call.units * sum(
            coefficient * call.units**i * cells**j
            for (i, j), coefficient in getattr(COUNTS[self.preset][call.role], what).items()
        )

    def flops(self, call: Call) -> float:
        """Of one call."""
        return self.of_call("flops", call)

    def moved_bytes(self, call: Call) -> float:
        """Of one call, at the least, with its weights."""
        return self.of_call("moved", call) * _ELEMENT[self.dtype(call.role)] + self.weights[call.role]

    def held_bytes(self, call: Call) -> float:
        return self.of_call("held", call) * _ELEMENT[self.dtype(call.role)]


Seconds = Callable[[Call], Timed]  # of all times of a call


@dataclass(frozen=True, kw_only=True)
class Row:
    """One choice. Everything but memory is of a frame, the mean of all of them."""

    profile: str
    about: str
    result: tuple[int, int]  # width, height
    flops: float
    moved_bytes: float  # at the least
    seconds_by_graph: Mapping[str, float]  # by role
    bound: str  # of the graph that takes longest
    memory_bytes: int  # the enhancer's own prediction
    card_bytes: float | None  # weights, activations and CUDA itself; None: the graphs run on no card

    @property
    def frames_per_s(self) -> float:
        return 1 / sum(self.seconds_by_graph.values())


@dataclass(frozen=True, kw_only=True)
class EnhancePlan:
    """What was found, a row a choice; what cannot be chosen with these graphs is in `left_out`, with why."""

    device: str
    card_memory_bytes: int | None
    preset: str
    precision: str
    size: int  # px of a side of the frames that go in
    frames: int
    rows: tuple[Row, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    fps: float | None = None  # a wish
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        rows = [asdict(row) | {"frames_per_s": row.frames_per_s} for row in self.rows]
        return {**asdict(self), "rows": rows}


def plans_enhancer(config: PredictConfig) -> bool:
    """Whether the preset, or the bundle, is the enhancer's. Raises BundleError."""
    if config.bundle is not None:
        return Bundle.open(config.bundle, family="").manifest.model == MODEL
    return config.preset in PRESETS


def plan_any(config: PredictConfig, tell: Callable[[str], None] | None = None) -> Plan | EnhancePlan:
    """Of a model that animates, or of the enhancer: what `hp-trt plan` calls. Raises as `plan` does."""
    return plan_enhanced(config, tell) if plans_enhancer(config) else plan(config, tell)


def plan_enhanced(config: PredictConfig, tell: Callable[[str], None] | None = None) -> EnhancePlan:
    """`tell` hears what is done when it takes seconds. Raises InputError, BundleError, EngineMismatch."""
    _check(config)
    graphs = _graphs(config)
    profiles, left_out = offered(config.profile, graphs.roles)
    size = config.size or PRESETS[graphs.preset].size
    work = {p.name: _calls(p, graphs, size, config.frames) for p in profiles}
    every = [call for one in work.values() for call in one]
    device, seconds, card_bytes, notes = _device(config, graphs, every, tell or (lambda text: None))
    rows = [
        _row(p, graphs, work[p.name], size, config.frames, seconds, on_card=card_bytes is not None) for p in profiles
    ]
    return EnhancePlan(
        device=device,
        card_memory_bytes=card_bytes,
        preset=graphs.preset,
        precision=graphs.precision,
        size=size,
        frames=config.frames,
        rows=tuple(rows),
        left_out=left_out,
        fps=config.fps,
        notes=notes,
    )


def offered(name: str, roles: Collection[str]) -> tuple[list[Profile], dict[str, str]]:
    """The profiles to compare, `exact` first, and those of the package's that graphs of these roles cannot do, and why.

    `name`: "exact" for all of the package's, or another, or one of a file. Raises InputError.
    """
    exact = PROFILES.find("exact")
    asked = PROFILES.find(name)
    wanted = list(PROFILES.own().values()) if asked.name == exact.name else [exact, asked]
    missing = {p.name: lacks(options_of(p), roles) for p in wanted}
    left_out = {name: f"there is no {', '.join(lacking)}" for name, lacking in missing.items() if lacking}
    if asked.name in left_out:
        raise InputError(f"the profile {asked.name} cannot be planned: {left_out[asked.name]}; take another")
    return [p for p in wanted if p.name not in left_out], left_out


def _check(config: PredictConfig) -> None:
    asked = {
        "--steps": config.steps, "--guidance": config.guidance, "--rate": config.rate, "--latency": config.latency_s,
        "--devices": config.devices if config.devices > 1 else None,
    }  # fmt: skip
    if stray := [option for option, value in asked.items() if value is not None]:
        raise InputError(f"{', '.join(stray)}: only of a model that animates; leave it out to plan an enhancement")


def _graphs(config: PredictConfig) -> Graphs:
    if config.bundle is None:
        assert config.preset is not None
        counts, precision = COUNTS[config.preset], config.precision or "fp16"
        plain = Graphs(preset=config.preset, precision=precision, roles=tuple(counts), weights={})
        weights = {role: counts[role].weights * _ELEMENT[plain.dtype(role)] for role in counts}
        return replace(plain, weights=weights)
    bundle = Bundle.open(config.bundle, family="")
    manifest, roles = bundle.manifest, roles_of(bundle)
    if manifest.preset not in COUNTS:
        raise InputError(f"{bundle.path} is of the preset {manifest.preset}, whose graphs nobody has counted")
    return Graphs(
        preset=manifest.preset,
        precision=manifest.precision,
        roles=tuple(roles),
        weights={role: manifest.graphs[name].weights_bytes for role, name in roles.items()},
    )


def _calls(profile: Profile, graphs: Graphs, size: int, frames: int) -> tuple[Call, ...]:
    options = options_of(profile)
    by_role = calls(frames, size, size, options, options.roles(graphs.roles))
    return tuple(call for one in by_role.values() for call in one)


def _row(
    profile: Profile, graphs: Graphs, work: tuple[Call, ...], size: int, frames: int, seconds: Seconds, *, on_card: bool
) -> Row:
    options = options_of(profile)
    roles = options.roles(graphs.roles)
    result = result_size(size, size, scale=options.scale, released=options.released)
    weights = sum(graphs.weights[role] for role in roles)
    timed = [(call, seconds(call)) for call in work]
    restores = set(FACES) <= set(roles)
    return Row(
        profile=profile.name,
        about=profile.about,
        result=result,
        flops=sum(call.times * graphs.flops(call) for call in work) / frames,
        moved_bytes=sum(call.times * graphs.moved_bytes(call) for call in work) / frames,
        seconds_by_graph={
            role: sum(one.seconds for call, one in timed if call.role == role) / frames for role in roles
        },
        bound=max(timed, key=lambda pair: pair[1].seconds)[1].bound,
        memory_bytes=predicted_bytes(size, size, result=result, writes=True, restores=restores, weights_bytes=weights),
        card_bytes=weights + max(graphs.held_bytes(call) for call in work) + CUDA_CONTEXT_BYTES if on_card else None,
    )


def _device(
    config: PredictConfig, graphs: Graphs, work: list[Call], tell: Callable[[str], None]
) -> tuple[str, Seconds, int | None, tuple[str, ...]]:
    """Its name, what calls take on it, a card's memory, and notes."""
    if config.gpu != HERE:
        card = Card(gpu=find_card(config.gpu), assumed=config.attainable)
        return card.name, partial(_on_card, card, graphs), card.memory_bytes, (_assumed(card),)
    gpu = find_gpu(config.device_id)
    if config.bundle is None:
        if isinstance(gpu, InstalledGpu):
            known = replace(find_card(gpu.name, gpu.capability), memory_bytes=gpu.total_bytes)
            card = Card(gpu=known, assumed=config.attainable)
            by_sheet = f"{gpu.name} by its data sheet; with --bundle it is measured"
            return card.name, partial(_on_card, card, graphs), card.memory_bytes, (by_sheet, _assumed(card))
        raise InputError(
            "this machine has no GPU that can be used, and a CPU's speed is measured with a bundle's own graphs, none "
            f"was given; add --bundle {ENHANCER_POCKET_BUNDLE}, which comes with hp-trt, or name a card: --gpu H200"
        )
    tell("measuring this machine with the bundle's graphs; some seconds")
    family = settled_family(config.bundle, config.family, config.device_id)
    name, found, notes = _measured(config, family, graphs, work)
    on_card = find(family).plans_for == "gpu" or config.provider != "cpu"
    memory = gpu.total_bytes if on_card and isinstance(gpu, InstalledGpu) else None
    return name, partial(_as_measured, found, graphs), memory, notes


def _on_card(card: Card, graphs: Graphs, call: Call) -> Timed:
    flops, moved = call.times * graphs.flops(call), call.times * graphs.moved_bytes(call)
    return card.timed(flops, moved, graphs.dtype(call.role), times=call.times)


def _assumed(card: Card) -> str:
    return (
        f"{card.attainable:.0%} of the card's dense peaks are taken to be reached: an assumption, --attainable sets "
        "another"
    )


def _measured(
    config: PredictConfig, family: FamilyName, graphs: Graphs, work: list[Call]
) -> tuple[str, Mapping[str, tuple[Piece, float]], tuple[str, ...]]:
    """The device, and by role what the largest call took, with its FLOPs."""
    from hp_trt.enhancer.enhancer import Enhancer

    assert config.bundle is not None
    setup = RuntimeConfig(family=family, provider=config.provider, device_id=config.device_id, threads=config.threads)
    largest = {call.role: call for call in sorted(work, key=graphs.flops)}
    with cores_note() as notes, Enhancer(config.bundle, setup) as enhancer:
        sessions = enhancer.sessions(tuple(largest))
        trials = [
            Trial(
                graph=role,
                flops=graphs.flops(call),
                prepare=partial(run_of, enhancer.backend, sessions[role], _sizes(call)),
            )
            for role, call in largest.items()
        ]
        found, not_tried = tried(trials, asynchronous=enhancer.backend.asynchronous)
        device = enhancer.backend.device
    return device, found, (*not_tried, *notes)


def _sizes(call: Call) -> dict[str, int]:
    return {"height": call.height, "width": call.width, "frames": call.units}


def _as_measured(found: Mapping[str, tuple[Piece, float]], graphs: Graphs, call: Call) -> Timed:
    """By the seconds a FLOP of the same graph; of one that was not tried, of the slowest of the others."""
    known = found.get(call.role) or max(found.values(), key=lambda pair: pair[0].seconds / pair[1])
    piece, flops = known
    share = call.times * graphs.flops(call) / flops
    return Timed(seconds=share * piece.seconds, core_s=share * piece.core_s, bound="measured")


def lines(made: EnhancePlan) -> Iterator[str]:
    """What the table does not hold, a fact a line."""
    yield ""
    yield (
        f"plan         {made.preset}, {made.precision}, on {made.device}: frames of {made.size} x {made.size} px, a "
        f"face in each of {made.frames}; a frame's mean"
    )
    yield "speed        of the graphs, one after the other; reading, Lanczos, pasting and writing are in no number"
    yield "memory       what the enhancer predicts for a CPU, and refuses by; of the length it does not grow"
    for name, why in made.left_out.items():
        yield f"left out     {name}: {why}"
    if made.fps is not None:
        met = [row.profile for row in made.rows if row.frames_per_s >= made.fps]
        first = made.rows[0]
        yield (
            f"wish         {made.fps:.3g} frames/s: {first.profile} gives {first.frames_per_s:.3g}; met by "
            f"{', '.join(met) or 'nothing here'}"
        )
    there = made.card_memory_bytes
    for row in made.rows:
        if row.card_bytes is not None and there is not None and row.card_bytes > there:
            yield (
                f"note         {row.profile} does not fit: about {row.card_bytes / 2**30:.1f} GiB are needed, "
                f"{made.device} has {there / 2**30:.0f}"
            )
    for note in made.notes:
        yield f"note         {note}"
