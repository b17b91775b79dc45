"""The course of an evaluation: every contestant animates every pair, every clip is measured, and a report is made."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engines.array_file import save_array
from engines.errors import InputError, how_to_install
from engines.safe_output import refusing
from engines.temporary import temporary_folder
from hp_trt.faces.face import FaceLocator
from hp_trt.faces.locators import open_locator
from hp_trt.measure.evaluation.config import DRAWN_FRAMES, EvaluateConfig, parse_seeds
from hp_trt.measure.evaluation.contestants import BundleColumn, Contestant, Still, Truth, bundle_columns
from hp_trt.measure.evaluation.distributions import Distributions
from hp_trt.measure.evaluation.drawn import DrawnPairs
from hp_trt.measure.evaluation.folders import FolderPairs
from hp_trt.measure.evaluation.measure_clip import ClipMeasures
from hp_trt.measure.evaluation.measures import TO_FIRST, Measure, measures
from hp_trt.measure.evaluation.pairs import PairSource
from hp_trt.measure.evaluation.report import FORMAT, SCHEMA, Column
from hp_trt.measure.metrics.fidelity import psnr
from hp_trt.measure.metrics.judge import Judge
from hp_trt.measure.metrics.value import Value
from procedural.clip import FIRST_TRAINING_SEED

Progress = Callable[[str, int, int], None]  # what, done, of how many
_LIBRARIES = {"skimage": "scikit-image"}


def evaluate(config: EvaluateConfig, on_progress: Progress = lambda what, done, total: None) -> dict[str, Any]:
    """The report (`hp_trt.measure.evaluation.report`). Raises HpTrtError, where it can be before the long work."""
    _require_libraries()
    bundles = bundle_columns(config)
    runtime = config.runtimes[0]
    locator = open_locator(runtime.locator, runtime.locator_file)
    wanted = (*measures(config.protocol), *([TO_FIRST] if len(bundles) > 1 else []))
    read = Judge(threads=runtime.threads).read if config.seeds is not None else None
    clip_measures = ClipMeasures(wanted, config.networks, locator=locator, read=read)
    distributions = Distributions(config.networks)
    source = open_source(config, locator)
    ends: list[Contestant] = [Still(joints=bundles[0].joints)] if "still" in config.ends else []
    known = config.seeds is not None or config.protocol == "self"  # cross of one's own pairs: nobody knows it
    if "truth" in config.ends and known:
        ends.append(Truth(joints=bundles[0].joints))
    size = bundles[0].bundle.manifest.geometry["crop_px"]
    columns = run_columns(
        [*ends, *bundles], source, clip_measures, distributions, crop_px=size, on_progress=on_progress
    )
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "protocol": config.protocol,
        "source": source.facts(),
        "clips": list(source.names),
        "frames": source.frames,
        "size": size,
        "networks": {name: None if file is None else str(file) for name, file in asdict(config.networks).items()},
        "measures": [_described(measure) for measure in wanted],
        "columns": [column.to_json(wanted) for column in columns],
        "notes": _notes(config, bundles, clip_measures.lmd_points),
    }


def open_source(config: EvaluateConfig, locator: FaceLocator) -> PairSource:
    """The pairs, looked through. Raises InputError, FaceNotFound."""
    if config.pairs is not None:
        return FolderPairs(config.protocol, config.pairs, config.frames, locator)
    assert config.seeds is not None
    return DrawnPairs(config.protocol, parse_seeds(config.seeds), config.frames or DRAWN_FRAMES)


def run_columns(
    contestants: Sequence[Contestant],
    source: PairSource,
    clip_measures: ClipMeasures,
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


def _notes(config: EvaluateConfig, bundles: Sequence[BundleColumn], lmd_points: str) -> list[str]:
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
