"""The report of an evaluation, as JSON holds it. Keys, stable within one `schema`:

    format, schema   "hp-trt evaluation", 1
    protocol         "self" | "cross" | "talk" | "enhance"
    source           {"kind": "seeds", "seeds": [A, B], "picture_px"} | {"kind": "pairs", "folder"}
    clips, frames    [each clip's name]; the frames of every clip
    size             px of a side of what is compared; of "enhance" the most
    networks         by option, the user's file or null
    measures         [{key, title, unit, better "higher" | "lower" | "near 0", digits}], the table's rows
    columns          [{name, kind "still" | "regression" | "truth" | "bicubic" | "lanczos" | "bundle", seconds, metrics,
                     parameters, ...}]; of a bundle also bundle, preset, precision, weights, profile, family, provider,
                     threads, and sampling, or of "enhance" options
      metrics        by key {mean, worst, clips [by clip; none where all clips have one number together], why}
      parameters     of drawn clips: by name, the mean correlation over the clips whose driver moves it
    notes            [a line]

Of `--moods` there are other keys in place of measures, metrics and parameters: `hp_trt.measure.evaluation.moods`.

A number that is not there is null, and `why` says why; an infinite one is "inf".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isinf
from typing import Any

import numpy as np

from engines.bundle import Bundle
from hp_trt.config import RuntimeConfig
from hp_trt.measure.evaluation.measures import Measure
from hp_trt.measure.metrics.value import Missing, Value
from hp_trt.profiles import Profile

FORMAT, SCHEMA = "hp-trt evaluation", 1


@dataclass(frozen=True, kw_only=True)
class Found:
    """Who has a column of a report, and how long it took."""

    name: str
    kind: str
    facts: Mapping[str, Any]
    seconds: float

    def about(self) -> dict[str, Any]:
        """What every column's JSON begins with."""
        return {"name": self.name, "kind": self.kind, **self.facts, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True, kw_only=True)
class Column(Found):
    """What was found of one contestant."""

    by_clip: Sequence[Mapping[str, Value]]
    of_all: Mapping[str, Value]  # numbers that only all clips together have
    correlations: Sequence[Mapping[str, float]]  # by clip, by parameter

    def to_json(self, measures: Sequence[Measure]) -> dict[str, Any]:
        return {
            **self.about(),
            "metrics": {measure.key: self._metric(measure) for measure in measures},
            "parameters": _means(self.correlations),
        }

    def _metric(self, measure: Measure) -> dict[str, Any]:
        if measure.key in self.of_all:
            value = self.of_all[measure.key]
            number = None if isinstance(value, Missing) else plain(value)
            return {"mean": number, "worst": number, "clips": [], "why": getattr(value, "why", None)}
        values = [clip.get(measure.key, Missing("not measured in this column")) for clip in self.by_clip]
        found = [value for value in values if not isinstance(value, Missing)]
        whys = [value.why for value in values if isinstance(value, Missing)]
        return {
            "mean": plain(float(np.mean(found))) if found else None,
            "worst": plain(measure.worst(found)) if found else None,
            "clips": [None if isinstance(value, Missing) else plain(value) for value in values],
            "why": _reason(whys, len(values)),
        }


def _reason(whys: Sequence[str], clips: int) -> str | None:
    if not whys:
        return None
    return whys[0] if len(whys) == clips else f"{len(whys)} of {clips} clips: {whys[0]}"


def plain(value: float) -> float | str:
    """A number as JSON can hold it."""
    return "inf" if isinf(value) else value


def _means(by_clip: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for clip in by_clip for name in clip)
    return {name: float(np.mean([clip[name] for clip in by_clip if name in clip])) for name in names}


def run_facts(bundle: Bundle, profile: Profile, config: RuntimeConfig) -> dict[str, Any]:
    """What runs in a column: a bundle, a profile of it, and where its graphs are opened."""
    manifest = bundle.manifest
    return {
        "bundle": str(bundle.path),
        "preset": manifest.preset,
        "precision": manifest.precision,
        "weights": manifest.weights["kind"],
        "profile": profile.name,
        "family": config.family,
        "provider": config.provider,
        "threads": config.threads,
    }
