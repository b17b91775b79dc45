"""The course of an evaluation: every contestant animates every pair, every clip is measured, and a report is made."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.array_file import save_array
from engines.errors import InputError, how_to_install
from engines.safe_output import refusing
from engines.temporary import temporary_folder
from hp_trt.faces.face import FaceLocator
from hp_trt.faces.locators import open_locator
from hp_trt.measure.evaluation import enlarged
from hp_trt.measure.evaluation.config import DRAWN_FRAMES, SPOKEN_FRAMES, End, EvaluateConfig, parse_seeds
from hp_trt.measure.evaluation.contestants import (
    BundleColumn,
    Contestant,
    RegressionColumn,
    Still,
    Truth,
    bundle_columns,
    check_moods,
)
from hp_trt.measure.evaluation.distributions import Distributions
from hp_trt.measure.evaluation.drawn import DrawnPairs
from hp_trt.measure.evaluation.enlarged import EnhancerColumn
from hp_trt.measure.evaluation.folders import FolderPairs
from hp_trt.measure.evaluation.measure_clip import ClipMeasures, Measured
from hp_trt.measure.evaluation.measure_talk import TalkMeasures
from hp_trt.measure.evaluation.measures import TO_FIRST, Measure, chain_measures, measures
from hp_trt.measure.evaluation.moods import DrawnInMoods, Speaker, asked, mood_columns
from hp_trt.measure.evaluation.pairs import Pair, PairSource
from hp_trt.measure.evaluation.report import FORMAT, SCHEMA, Column
from hp_trt.measure.evaluation.spoken import SpokenPairs
from hp_trt.measure.metrics import chain
from hp_trt.measure.metrics.fidelity import psnr
from hp_trt.measure.metrics.judge import Judge
from hp_trt.measure.metrics.sync_judge import SyncJudge
from hp_trt.measure.metrics.value import Value
from procedural.clip import FIRST_TRAINING_SEED

Progress = Callable[[str, int, int], None]  # what, done, of how many


class Measures(Protocol):
    """What one clip is measured with."""

    def measure(self, pair: Pair, clip: Sequence[np.ndarray], joints: Collection[int]) -> Measured: ...


_LIBRARIES = {"skimage": "scikit-image"}


def evaluate(config: EvaluateConfig, on_progress: Progress = lambda what, done, total: None) -> dict[str, Any]:
    """The report (`hp_trt.measure.evaluation.report`). Raises HpTrtError, where it can be before the long work."""
    _require_libraries()
    if config.protocol == "enhance":
        return evaluate_enlarged(config, on_progress)
    bundles = bundle_columns(config)
    if config.moods:
        return evaluate_moods(config, bundles, on_progress)
    course = spoken_course(config, bundles) if config.protocol == "talk" else driven_course(config, bundles)
    size = bundles[0].bundle.manifest.geometry["crop_px"]
    source, wanted = course.source, course.wanted
    columns = run_columns(
        [*course.ends, *bundles], source, course.measures, course.distributions, crop_px=size, on_progress=on_progress
    )
    return {
        **_head(config, source, size),
        "measures": [_described(measure) for measure in wanted],
        "columns": [column.to_json(wanted) for column in columns],
        "notes": _notes(config, bundles, course.lmd_points),
    }


def evaluate_moods(config: EvaluateConfig, bundles: Sequence[BundleColumn], on_progress: Progress) -> dict[str, Any]:
    """The report of what moods do (`hp_trt.measure.evaluation.moods`). Raises HpTrtError."""
    assert config.seeds is not None
    check_moods(bundles)
    size = bundles[0].bundle.manifest.geometry["crop_px"]
    source = SpokenPairs(parse_seeds(config.seeds), config.frames or SPOKEN_FRAMES)
    speakers: list[Speaker] = [DrawnInMoods(source=source)] if "truth" in config.ends else []
    read = Judge(threads=config.runtimes[0].threads).read
    columns = mood_columns([*speakers, *bundles], source, read, crop_px=size, on_progress=on_progress)
    return {
        **_head(config, source, size),
        "moods": asked(),
        "columns": [column.to_json() for column in columns],
        "notes": _notes(config, bundles, ""),
    }


def evaluate_enlarged(config: EvaluateConfig, on_progress: Progress) -> dict[str, Any]:
    """The report of what enhancers make of small pictures (`hp_trt.measure.evaluation.enlarged`). Raises HpTrtError."""
    people = enlarged.people_of(config)
    ends, bundles = enlarged.enlargers(config)
    asked = [end for end in ends if "still" in config.ends or end.kind == "bicubic"]
    measured = enlarged.EnlargedMeasures(config.networks)
    columns = enlarged.run_enlargers([*asked, *bundles], people, measured, on_progress)
    return {
        **_head(config, people, max(enlarged.SIDES)),
        "measures": [_described(measure) for measure in enlarged.MEASURES],
        "columns": [column.to_json(enlarged.MEASURES) for column in columns],
        "notes": [*_notes(config, bundles, ""), *enlarged.note_of_faces(bundles)],
    }


class Source(Protocol):
    """Where clips come from."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def frames(self) -> int: ...

    def facts(self) -> dict[str, object]: ...


def _head(config: EvaluateConfig, source: Source, size: int) -> dict[str, Any]:
    """Of a report: what was asked, and of what."""
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "protocol": config.protocol,
        "source": source.facts(),
        "clips": list(source.names),
        "frames": source.frames,
        "size": size,
        "networks": {name: None if file is None else str(file) for name, file in asdict(config.networks).items()},
    }


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a protocol measures, of what, and beside what."""

    source: PairSource
    wanted: tuple[Measure, ...]
    measures: Measures
    distributions: Distributions
    ends: list[Contestant]
    lmd_points: str = ""  # `ClipMeasures.lmd_points`


def driven_course(config: EvaluateConfig, bundles: Sequence[BundleColumn]) -> Course:
    """Where a video moves the portrait. Raises InputError, FaceNotFound."""
    runtime = config.runtimes[0]
    locator = open_locator(runtime.locator, runtime.locator_file)
    wanted = _wanted(measures(config.protocol), bundles)
    read = Judge(threads=runtime.threads).read if config.seeds is not None else None
    clip_measures = ClipMeasures(wanted, config.networks, locator=locator, read=read)
    distributions = Distributions(config.networks)
    source = open_source(config, locator)
    known = config.seeds is not None or config.protocol == "self"  # cross of one's own pairs: nobody knows it
    ends: list[Contestant] = [Still(joints=bundles[0].joints)] if "still" in config.ends else []
    if "truth" in config.ends and known:
        ends.append(Truth(joints=bundles[0].joints))
    return Course(
        source=source,
        wanted=wanted,
        measures=clip_measures,
        distributions=distributions,
        ends=ends,
        lmd_points=clip_measures.lmd_points,
    )


def spoken_course(config: EvaluateConfig, bundles: Sequence[BundleColumn]) -> Course:
    """Where speech does. Raises InputError."""
    assert config.seeds is not None
    runtime, joints = config.runtimes[0], bundles[0].joints
    frames = config.frames or SPOKEN_FRAMES
    looked_at = chain.looked_at(frames, min(joints(frames), default=frames))
    wanted = _wanted((*measures("talk"), *chain_measures(looked_at)), bundles)
    makes: Mapping[End, type[Still | RegressionColumn | Truth]] = {
        "still": Still, "regression": RegressionColumn, "truth": Truth
    }  # fmt: skip
    return Course(
        wanted=wanted,
        measures=TalkMeasures(
            wanted,
            config.networks,
            locator=open_locator(runtime.locator, runtime.locator_file),
            read=Judge(threads=runtime.threads).read,
            sync=SyncJudge(threads=runtime.threads).sync,
            looked_at=looked_at,
        ),
        distributions=Distributions(config.networks, expressions=True),
        source=SpokenPairs(parse_seeds(config.seeds), frames),
        ends=[make(joints=joints) for end, make in makes.items() if end in config.ends],
    )


def _wanted(rows: tuple[Measure, ...], bundles: Sequence[BundleColumn]) -> tuple[Measure, ...]:
    return (*rows, *([TO_FIRST] if len(bundles) > 1 else []))


def open_source(config: EvaluateConfig, locator: FaceLocator) -> PairSource:
    """The pairs of a video's protocol, looked through. Raises InputError, FaceNotFound."""
    assert config.protocol != "talk"
    if config.pairs is not None:
        return FolderPairs(config.protocol, config.pairs, config.frames, locator)
    assert config.seeds is not None
    return DrawnPairs(config.protocol, parse_seeds(config.seeds), config.frames or DRAWN_FRAMES)


def run_columns(
    contestants: Sequence[Contestant],
    source: PairSource,
    clip_measures: Measures,
    distributions: Distributions,
    *,
    crop_px: int,
    on_progress: Progress,
) -> list[Column]:
    """Contestants one after the other, so that one bundle is open at a time; each makes every pair's clip."""
    columns: list[Column] = []
    clips = len(source.names)
    with temporary_folder("evaluate") as folder:
        first = FirstClips(folder)
        for contestant in contestants:
            start, before = time.perf_counter(), len(columns) * clips
            by_clip, correlations = [], []
            distributions.begin()
            with contestant.opened() as animate:
                for index in range(clips):
                    on_progress(contestant.name, before + index, len(contestants) * clips)
                    pair = source.pair(index, crop_px)
                    clip = animate(pair)
                    found = clip_measures.measure(pair, clip, contestant.joints(len(clip)))
                    distributions.add(pair, clip)
                    same = first.compared(contestant.name, index, clip) if contestant.kind == "bundle" else {}
                    by_clip.append({**found.values, **same})
                    correlations.append(found.correlations)
            columns.append(
                Column(
                    name=contestant.name,
                    kind=contestant.kind,
                    facts=contestant.facts(),
                    seconds=time.perf_counter() - start,
                    by_clip=by_clip,
                    of_all=distributions.values(),
                    correlations=correlations,
                )
            )
    on_progress("done", len(contestants) * clips, len(contestants) * clips)
    return columns


class FirstClips:
    """The first bundle's clips, kept in `folder`, that those of the bundles after it are compared with."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name: str | None = None

    def compared(self, name: str, index: int, clip: Sequence[np.ndarray]) -> dict[str, Value]:
        """The clip's PSNR to the first bundle's of that index; of the first itself it is kept instead."""
        file = self._folder / f"{index}.npy"
        self._name = self._name or name
        if name == self._name:
            with refusing(file):
                save_array(file, np.stack(list(clip)))
            return {}
        return {TO_FIRST.key: psnr(clip, np.load(file, mmap_mode="r"))}


def _require_libraries() -> None:
    for module, package in _LIBRARIES.items():
        if importlib.util.find_spec(module) is None:
            raise InputError(f"evaluating needs {package}, which is not installed; {how_to_install('evaluate')}")


def _described(measure: Measure) -> dict[str, Any]:
    return {name: getattr(measure, name) for name in ("key", "title", "unit", "better", "digits")}


def _notes(config: EvaluateConfig, bundles: Sequence[BundleColumn | EnhancerColumn], lmd_points: str) -> list[str]:
    """What a reader of the numbers should know."""
    notes = [
        f"{column.name} has random weights: its face is noise, and so are its numbers"
        for column in bundles
        if column.facts()["weights"] == "random"
    ]
    if config.seeds is not None and parse_seeds(config.seeds).stop > FIRST_TRAINING_SEED:
        notes.append(f"seeds from {FIRST_TRAINING_SEED} on are trained on: these numbers say less of new faces")
    if config.pairs is not None and config.protocol == "self" and lmd_points:
        notes.append(f"the landmark distance (LMD) is of {lmd_points}")
    return notes
