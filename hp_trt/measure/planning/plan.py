"""A plan before anything is built or run: what it costs, how long it takes, whether wishes are met.

`plan` is what `hp-trt plan` calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from engines.bundle import Bundle
from engines.errors import InputError
from engines.families import Auto, FamilyName, Provider, find
from engines.gpu import Gpu as InstalledGpu
from engines.gpu import find_gpu
from hp_trt.config import MOST_DEVICES, RuntimeConfig
from hp_trt.interface.auto_family import settled_family
from hp_trt.measure.planning.gpus import HERE, find_card
from hp_trt.measure.planning.here import Measured, measure
from hp_trt.measure.planning.planned_model import PlannedModel, model_of_bundle, model_of_preset
from hp_trt.measure.planning.predict import Card, Prediction, Speed, predict
from hp_trt.measure.planning.spread import Spread, spread_over
from hp_trt.measure.planning.wishes import LEAST_PX, STEP_PX, Answer, Choice, Wish, answer
from hp_trt.open_graphs import option_for
from hp_trt.profiles import Profile
from hp_trt.shipped import POCKET_BUNDLE
from runtime.work import Work

FRAMES, RATE = 100, 25.0


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """What to predict, checked when made. Without a bundle a preset is planned; raises InputError."""

    gpu: str  # a card's name, or "here": this machine
    profile: str = "exact"
    preset: str | None = None  # None: hunyuanportrait, or the bundle's
    bundle: Path | None = None
    size: int | None = None  # pixels; None: the preset's, or the bundle's
    frames: int = FRAMES  # of the driving video
    steps: int | None = None  # None: the profile's, or the preset's
    guidance: float | None = None  # likewise; of models that have one scale
    precision: str | None = None  # "fp16" | "fp32"; None: fp16, or the bundle's
    rate: float | None = None  # driving frames a second; None: as many as are wished for, or 25
    fps: float | None = None  # a wish
    latency_s: float | None = None  # a wish
    attainable: float | None = None  # of a card's peaks; None: the card's own part
    devices: int = 1  # of one kind, that the clip is spread over
    family: FamilyName | Auto = "onnxruntime"  # how "here" is measured
    provider: Provider = "cpu"
    device_id: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.bundle is not None and (self.preset or self.precision):
            given = "--preset" if self.preset else "--precision"
            raise InputError(f"{given} and --bundle were given, and a bundle has its own; leave one out")
        if self.precision not in (None, "fp16", "fp32"):
            raise InputError(f"there is no precision {self.precision!r}; there are: fp16, fp32")
        for name, low in (("frames", 1), ("steps", 1)):
            value = getattr(self, name)
            if value is not None and value < low:
                raise InputError(f"--{name} must be at least {low}, got {value}")
        for name in ("rate", "fps", "latency_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"--{name.removesuffix('_s')} must be above 0, got {value}")
        if not 1 <= self.devices <= MOST_DEVICES:
            raise InputError(f"--devices must be 1 to {MOST_DEVICES}, got {self.devices}")
        if self.attainable is not None and not 0 < self.attainable <= 1:
            raise InputError(
                f"--attainable is a part of the card's peaks, above 0 and at most 1, got {self.attainable}"
            )

    @property
    def driving_rate(self) -> float:
        """Frames a second of the driver, which a live window waits for: a wish for so many is one for such a driver."""
        return self.rate or self.fps or RATE


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was found."""

    choice: Choice
    model: PlannedModel
    device: str
    memory_bytes: int | None  # of the card
    prediction: Prediction
    answers: tuple[Answer, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "device": self.device,
            "device_memory_bytes": self.memory_bytes,
            "profile": self.choice.profile,
            "preset": self.model.preset,
            "size": self.choice.size,
            "precision": self.model.precision,
            "prediction": self.prediction.to_json() | self._spoken(),
            "wishes": [
                {
                    "kind": found.wish.kind,
                    "value": found.wish.value,
                    "got": found.got,
                    "met": found.met,
                    "missed_by": found.missed_by,
                    "ways": [{**vars(choice), "got": got} for choice, got in found.ways],
                    "nearest": None if found.best is None else {**vars(found.best[0]), "got": found.best[1]},
                }
                for found in self.answers
            ],
            "notes": list(self.notes),
        }

    def _spoken(self) -> dict[str, float]:
        """What more there is to say of a portrait that speaks."""
        if self.model.room.driver != "audio":
            return {}
        made = self.prediction
        return {"clips_per_s": made.clips_per_s, "real_time": made.frames_per_s / RATE}


def plan(config: PredictConfig, tell: Callable[[str], None] | None = None) -> Plan:
    """`tell` hears what is done when it takes seconds. Raises InputError, BundleError, EngineMismatch."""
    bundle = None
    if config.bundle is not None:  # only to be measured are its files looked at
        measured = config.gpu == HERE
        family = settled_family(config.bundle, config.family, config.device_id) if measured else ""
        bundle = Bundle.open(config.bundle, family=family)
    if bundle is not None:
        model = model_of_bundle(bundle, size=config.size)
    else:
        model = model_of_preset(
            config.preset or "hunyuanportrait", size=config.size, precision=config.precision or "fp16"
        )
    room, rate = model.room, _rate(config, model)
    asked = _guided(room.profiles.find(config.profile), model, config)
    profile = room.fitted(asked, model)
    work = room.work(profile, model, config.frames, steps=config.steps)
    speed, notes = _speed(config, model, profile, work, bundle, tell or (lambda text: None))
    now = Choice(profile=config.profile, size=model.size, steps=config.steps or _steps(profile, model))

    @cache
    def predicted(choice: Choice) -> Prediction:
        sized = model if choice.size == model.size else model.resized(choice.size)
        assert sized is not None, "sizes of a bundle that nobody else knows are not tried"
        chosen = room.fitted(_guided(room.profiles.find(choice.profile), model, config), model)
        done = room.work(chosen, sized, config.frames, steps=choice.steps)
        return predict(sized, done, speed, rate=rate, spread=_spread(config, sized, done))

    prediction = predicted(now)
    answers = []
    for kind, value in (("fps", config.fps), ("latency", config.latency_s)):
        if value is not None:
            sizes = range(LEAST_PX, model.size, STEP_PX) if model.resized(model.size) is not None else ()
            # In the package's own order: the more exact first
            others = [
                (name, _steps(other, model)) for name, other in room.profiles.own().items() if name != profile.name
            ]
            wish = Wish(kind=kind, value=value)
            answers.append(answer(wish, now, predicted, profiles=others, sizes=tuple(sizes)))
    return Plan(
        choice=now,
        model=model,
        device=speed.name,
        memory_bytes=speed.memory_bytes,
        prediction=prediction,
        answers=tuple(answers),
        notes=(*_of_graphs(asked, profile, model, config), *notes, *_notes(prediction, speed, config, model, rate)),
    )


def _spread(config: PredictConfig, model: PlannedModel, work: Work) -> Spread | None:
    """Over --devices. Raises InputError for work that has nothing to spread."""
    if config.devices == 1:
        return None
    if model.room.driver == "audio" or work.mode == "live":
        raise InputError(
            f"{config.devices} devices do not help {'speech' if work.mode == 'clip' else 'live mode'}: each piece goes "
            "on from the one before; leave --devices out"
        )
    return spread_over(config.devices, model, work)


def _guided(profile: Profile, model: PlannedModel, config: PredictConfig) -> Profile:
    """The profile with --guidance. Raises InputError where there is no such scale."""
    if config.guidance is None:
        return profile
    if "guidance" not in model.room.profiles.sampling:
        raise InputError(
            f"{model.preset} has no one scale of guidance; leave --guidance out, or take a profile of your own that "
            f"sets {', '.join(name for name in model.room.profiles.sampling if name.startswith('guidance_'))}"
        )
    return replace(profile, sampling={**profile.sampling, "guidance": config.guidance})


def _rate(config: PredictConfig, model: PlannedModel) -> float:
    """Frames a second that a live window waits for. Raises InputError for one that the model does not know."""
    if model.room.driver == "video":
        return config.driving_rate
    if config.rate is not None and config.rate != RATE:
        raise InputError(
            f"{model.preset} makes {RATE:g} frames of a second of sound, --rate asks for {config.rate:g}; leave it out"
        )
    return RATE


def _steps(profile: Profile, model: PlannedModel) -> int:
    """What --steps would say: those that a profile skips are among them."""
    return int(profile.sampling.get("steps", model.sampling.steps))


def _speed(
    config: PredictConfig,
    model: PlannedModel,
    profile: Profile,
    work: Work,
    bundle: Bundle | None,
    tell: Callable[[str], None],
) -> tuple[Speed, tuple[str, ...]]:
    if config.gpu != HERE:
        card = find_card(config.gpu)
        return Card(gpu=card, assumed=config.attainable), ()
    gpu = find_gpu(config.device_id)
    if bundle is None:
        if isinstance(gpu, InstalledGpu):
            card = replace(find_card(gpu.name, gpu.capability), memory_bytes=gpu.total_bytes)
            return Card(gpu=card, assumed=config.attainable), (
                f"{gpu.name} by its data sheet; with --bundle it is measured",
            )
        raise InputError(
            "this machine has no GPU that can be used, and a CPU's speed is measured with a bundle's own graphs, none "
            f"was given; add --bundle {POCKET_BUNDLE}, which comes with hp-trt, or name a card: --gpu H200"
        )
    tell("measuring this machine with the bundle's graphs; some seconds")
    measured = _measured(
        config, bundle, model, profile, work, gpu.total_bytes if isinstance(gpu, InstalledGpu) else None
    )
    return measured, measured.notes


def _measured(
    config: PredictConfig, bundle: Bundle, model: PlannedModel, profile: Profile, work: Work, card_bytes: int | None
) -> Measured:
    from hp_trt.api import Runtime

    room = model.room
    there = profile if set(room.graphs(profile, model)) <= set(bundle.manifest.graphs) else room.profiles.find("exact")
    setup = RuntimeConfig(
        profile=there,
        family=config.family,
        provider=config.provider,
        device_id=config.device_id,
        threads=config.threads,
    )
    with Runtime(bundle, setup, settle_stages=True) as runtime:
        on_card = find(runtime.config.family).plans_for == "gpu" or config.provider != "cpu"
        opened = runtime.graphs.of(there, runtime.model.roles(there))
        calls = runtime.graphs.calls(there, runtime.model.roles(there))
        return measure(runtime, opened, model, work, calls=calls, memory_bytes=card_bytes if on_card else None)


def _of_graphs(asked: Profile, planned: Profile, model: PlannedModel, config: PredictConfig) -> Iterator[str]:
    """Where the graphs are not those that the profile's name leads one to expect."""
    yield from model.room.notes(asked, model, config.bundle)
    needed = model.room.graphs(planned, model)
    if config.bundle is not None and (lacking := [name for name in needed if name not in model.graphs]):
        options = " ".join(dict.fromkeys(filter(None, (option_for(name, model.room.added_by) for name in lacking))))
        yield f"{config.bundle} has no {', '.join(lacking)}: planned as if it had; build with {options}"


def _notes(prediction: Prediction, speed: Speed, config: PredictConfig, model: PlannedModel, rate: float) -> list[str]:
    notes = []
    spoken = model.room.driver == "audio"
    grows = "of it only tokens, latents and velocities grow with the clip"
    grows = "it does not grow with the sound" if spoken else grows
    if isinstance(speed, Card):
        notes.append(
            f"{speed.attainable:.0%} of the card's dense peaks are taken to be reached: an assumption, "
            "--attainable sets another"
        )
    if prediction.missing:
        notes.append(
            f"the host's work is in no number ({', '.join(prediction.missing)}): it was not measured on that machine; "
            "--gpu here --bundle DIR measures it"
        )
    notes.append(
        f"memory is an estimate: weights, and activations as if only attention were fused; {grows}"
        + ("" if speed.memory_bytes is not None else "; the program's own, and the video's, come on top")
    )
    if speed.memory_bytes is not None and prediction.memory.total > speed.memory_bytes:
        notes.append(
            f"it does not fit: about {prediction.memory.total / 2**30:.1f} GiB are needed, {speed.name} has "
            f"{speed.memory_bytes / 2**30:.0f}; plan a smaller --size, or build with --weight-streaming"
        )
    if prediction.work.mode == "live" and prediction.frames_per_s < rate:
        notes.append(
            f"slower than {'speech at' if spoken else 'a driver of'} {rate:g} frames/s: frames would wait ever longer, "
            "or be dropped; the latency is that of a frame that did not wait"
        )
    return notes
