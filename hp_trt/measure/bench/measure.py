"""Animate a clip some times and report on it: `bench` is what `python -m runtime.bench` calls.

The runs that are measured come first, so that their memory is theirs: PyTorch is loaded only for the race after them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.bundle import Bundle
from engines.errors import InputError
from engines.families import Auto, FamilyName, Provider
from engines.temporary import temporary_folder
from hp_trt.config import RuntimeConfig
from hp_trt.measure.bench import machine
from hp_trt.measure.bench.benched import BenchedRoom, OpenReleased, find_room
from hp_trt.measure.bench.clips import clip_files, shortened, shortened_sound, speech_files
from hp_trt.measure.bench.stage_times import first_frame, stage_times
from hp_trt.models import find_model, profile_of
from hp_trt.provenance.options import NOTHING
from runtime.stages import Event
from runtime.work import Work

if TYPE_CHECKING:
    from hp_trt.api import Runtime
    from hp_trt.interface.results import Animation
    from hp_trt.profiles import Profile

FORMAT, SCHEMA = "hp-trt bench", 1
Tell = Callable[[str, int, int], None]  # what, done, total


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """What to measure, checked when made. What is not given is drawn: the sample's portrait and driving video, or for a
    bundle that speech drives a sound like a voice."""

    bundle: Path
    portrait: Path | None = None
    driving: Path | None = None
    audio: Path | None = None  # of a bundle that speech drives
    frames: int | None = None  # of the driving video, or 25ths of a second of sound; None: all, or 50 of what is drawn
    steps: int | None = None  # None: the bundle's
    seed: int | None = None
    threads: int | None = None  # None: every core; the race's too
    family: FamilyName | Auto = "onnxruntime"
    provider: Provider = "cpu"
    device_id: int = 0  # which GPU
    devices: tuple[int, ...] = ()  # several for one clip: see RuntimeConfig
    weight_budget_bytes: int | None = None  # see RuntimeConfig
    warmup: int = 1
    runs: int = 3
    open_released: OpenReleased | None = None  # the released program, to race it; None: no race
    reference_frames: int | None = None  # None: as many as above
    reference_steps: int | None = None  # None: as many as above
    profile: str = "exact"

    def __post_init__(self) -> None:
        if self.driving is not None and self.audio is not None:
            raise InputError("a portrait is moved by a driving video or by speech; give --driving or --audio, not both")
        least = {"frames": 1, "warmup": 0, "runs": 1, "reference_frames": 1, "reference_steps": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise InputError(f"--{name.replace('_', '-')} must be at least {low}, got {value}")
        if self.open_released is not None and self.profile != "exact":
            raise InputError(
                f"the reference is what exact computes, the profile is {self.profile}; leave out --reference"
            )


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What was measured."""

    report: dict[str, Any]  # JSON data: `runtime.bench` says what its keys are
    spans: tuple[Event, ...]  # of the run of median length
    wall_s: float  # of that run


def bench(config: BenchConfig, tell: Tell | None = None) -> Bench:
    """Animate, measure, and race the reference where asked. `tell` hears before each run.

    Raises what `hp_trt.Runtime` and `config.open_released` raise.
    """
    from hp_trt.api import Runtime

    tell = tell or (lambda what, done, total: None)
    bundle = Bundle.open(config.bundle, family="")  # its manifest alone: what is wrong is told before files are hashed
    chosen = profile_of(bundle, RuntimeConfig(profile=config.profile))
    room = find_room(bundle.manifest.model)
    check_files(config, bundle)
    setup = RuntimeConfig(
        family=config.family,
        provider=config.provider,
        device_id=config.device_id,
        devices=config.devices,
        weight_budget_bytes=config.weight_budget_bytes,
        threads=config.threads,
        profile=chosen,
    )
    with (
        # Stages of a live profile run beside each other: to wait after each would be another program.
        Runtime(config.bundle, setup, settle_stages=chosen.mode == "clip") as runtime,
        temporary_folder("bench") as folder,
    ):
        own = runtime.bundle.manifest.sampling
        sampling = room.sampling(own, chosen, steps=config.steps, seed=config.seed)
        options = {name: value for name, value in vars(sampling).items() if name in runtime.model.options}
        files = Files.of(config, room, folder)
        opened_bytes, restarted = machine.resident_bytes(), machine.restart_peak()
        runs, walls_s = [], []
        for number in range(config.warmup + config.runs):
            tell("warm up" if number < config.warmup else "run", number, config.warmup + config.runs)
            start_s = time.perf_counter()
            animation = files.animate(runtime, room, folder / "out.mp4", options)
            if number >= config.warmup:
                walls_s.append(time.perf_counter() - start_s)
                runs.append(tuple(animation.stages.spans))
        peak_bytes = machine.peak_bytes()
        work, done = _work(runtime, chosen, sampling, animation.frames)
        padded, windows = room.extent(work)
        rows = room.rows(sampling)
        # The released program's is by the bundle's own sampling, unless the profile is exact and the caller chose.
        exact = sampling if chosen.name == "exact" else room.sampling(own, _released(bundle), steps=None, seed=None)
        released = room.released(runtime.bundle.manifest, exact, animation.frames)
        report = {
            "format": FORMAT,
            "schema": SCHEMA,
            "machine": _machine(config, runtime),
            "bundle": _bundle(runtime),
            "profile": chosen.name,
            "clip": {
                "frames": animation.frames,
                "padded": padded,
                "windows": windows,
                "rows": rows,
                "decoded": sum(call.units * call.times for call in work.graphs["decode"]),
                "steps": len(rows),
                "rate": float(animation.rate),
                "seed": sampling.seed,
                "runs": config.runs,
                "warmup": config.warmup,
            },
            **summary(runs, walls_s, animation.frames, done, released),
            "memory": {
                "peak_bytes": peak_bytes,
                "opened_bytes": opened_bytes,
                "growth_bytes": max(peak_bytes - opened_bytes, 0),
                "peak_since": "opened" if restarted else "start",
            },
            "notes": list(runtime.backend.notes),
            "reference": None,
        }
        if config.open_released is not None:
            report["reference"] = _race(config, runtime, room, files, animation.frames, folder, tell)
    middle = walls_s.index(statistics.median_low(walls_s))
    return Bench(report=report, spans=runs[middle], wall_s=walls_s[middle])


def check_files(config: BenchConfig, bundle: Bundle) -> None:
    """Raises InputError for files that do not move this bundle's portraits."""
    whose = f"{bundle.path} is for {bundle.manifest.model}, whose portraits are moved by"
    if find_model(bundle).driver == "audio":
        if config.driving is not None:
            raise InputError(
                f"{whose} speech: give --audio FILE in the place of --driving, or neither for a made voice"
            )
        return
    if config.audio is not None:
        raise InputError(
            f"{whose} a driving video: give --portrait and --driving, not --audio, or none of them for the drawn pair"
        )
    if (config.portrait is None) != (config.driving is None):
        only = "a portrait" if config.driving is None else "a driving video"
        raise InputError(f"only {only} was given; give --portrait and --driving, or neither for the drawn pair")


@dataclass(frozen=True, kw_only=True)
class Files:
    """What is animated, the same in every run."""

    portrait: Path
    driver: Path  # a driving video, or a sound

    @classmethod
    def of(cls, config: BenchConfig, room: BenchedRoom, folder: Path) -> Files:
        """The user's, or drawn into `folder`."""
        user, frames = config.portrait, config.frames
        if room.driver == "video":
            portrait, driver = clip_files(folder, portrait=user, driving=config.driving, frames=frames)
        else:
            portrait, driver = speech_files(folder, portrait=user, audio=config.audio, frames=frames)
        return cls(portrait=portrait, driver=driver)

    def animate(self, runtime: Runtime, room: BenchedRoom, out: Path, options: Mapping[str, Any]) -> Animation:
        if room.driver == "video":
            return runtime.animate(self.portrait, self.driver, out, provenance=NOTHING, **options)
        return runtime.animate(self.portrait, out=out, audio=self.driver, provenance=NOTHING, **options)


def _released(bundle: Bundle) -> Profile:
    """The profile that changes nothing."""
    return find_model(bundle).profiles.find("exact")


def _work(runtime: Runtime, profile: Profile, sampling: Any, frames: int) -> tuple[Work, dict[str, int]]:
    """What a clip of `frames` is with `profile` and `sampling`, and its FLOPs by stage."""
    from hp_trt.measure.planning.planned_model import model_of_bundle

    model = model_of_bundle(runtime.bundle)
    work = runtime.model.work(replace(profile, sampling=vars(sampling)), frames)  # as `animate` was given it
    return work, {stage: round(sum(model.flops(call) for call in calls)) for stage, calls in work.graphs.items()}


def summary(
    runs: Sequence[Sequence[Event]],
    walls_s: Sequence[float],
    frames: int,
    done: Mapping[str, int],
    released: Mapping[str, int],
) -> dict[str, Any]:
    """The report's `stages`, `end_to_end`, `first_frame` and `flops`, from each run's spans and duration.

    `done`, `released`: FLOPs by stage, of a clip of `frames`.
    """
    done_total, released_total = sum(done.values()), sum(released.values())
    times, median_s = stage_times(runs, walls_s), statistics.median(walls_s)
    stages = []
    for stage in times:
        count = done.get(stage.stage)
        per_s = None if count is None else count / max(stage.total_s, 1e-9)
        stages.append({**asdict(stage), "flops": count, "flops_per_s": per_s})
    firsts = [first_frame(spans) for spans in runs]
    return {
        "stages": stages,
        "end_to_end": {
            "seconds": list(walls_s),
            "median_s": median_s,
            "frames_per_s": frames / median_s,
            "other_s": statistics.mean(wall - covered_s(spans) for wall, spans in zip(walls_s, runs, strict=True)),
        },
        "first_frame": {
            "latency_s": statistics.median(first.latency_s for first in firsts),
            "portrait_ready_s": statistics.median(first.portrait_ready_s for first in firsts),
        },
        "flops": {
            "done": done_total,
            "released": released_total,
            "saved": 1 - done_total / released_total,
            "per_s": done_total / median_s,
            "done_by_stage": dict(done),
            "released_by_stage": dict(released),
        },
    }


def covered_s(spans: Sequence[Event]) -> float:
    """Seconds in which any stage ran: those that run beside one another count once."""
    covered, until = 0.0, 0.0
    for span in sorted(spans, key=lambda span: span.start_s):
        end = span.start_s + span.seconds
        covered += max(0.0, end - max(span.start_s, until))
        until = max(until, end)
    return covered


def _race(
    config: BenchConfig, runtime: Runtime, room: BenchedRoom, files: Files, frames: int, folder: Path, tell: Tell
) -> dict[str, Any]:
    from hp_trt.measure.bench.race import race

    assert config.open_released is not None, "no race was asked for"
    released = config.open_released(runtime.bundle.manifest, getattr(runtime.backend, "threads", None))
    raced = min(config.reference_frames or frames, frames)
    driver = files.driver
    if raced < frames:
        shorten = shortened if room.driver == "video" else shortened_sound
        driver = shorten(driver, folder / f"race{'.mp4' if room.driver == 'video' else '.wav'}", raced)
    own, steps = runtime.bundle.manifest.sampling, config.reference_steps or config.steps
    sampling = room.sampling(own, runtime.profile, steps=steps, seed=config.seed)
    exact, reference = room.sides(
        runtime, released, portrait=files.portrait, driver=driver, out=folder / "race-out.mp4", sampling=sampling
    )
    return race(
        exact,
        reference,
        turns=config.runs,
        steps=len(room.rows(sampling)),
        threads=released.threads,
        torch=released.torch,
        tell=tell,
    ).to_json()


def _machine(config: BenchConfig, runtime: Runtime) -> dict[str, Any]:
    threads = getattr(runtime.backend, "threads", None)
    return {
        **machine.facts(),
        "family": runtime.config.family,
        "provider": config.provider,
        "threads": threads,
        "device": runtime.backend.device,
    }


def _bundle(runtime: Runtime) -> dict[str, Any]:
    manifest = runtime.bundle.manifest
    return {
        "path": str(runtime.bundle.path),
        "preset": manifest.preset,
        "precision": manifest.precision,
        "size": list(manifest.size),
        "frames": manifest.frames,
        "driver": find_model(runtime.bundle).driver,
        "weights": manifest.weights["kind"],
        "created": manifest.created,
    }
