"""The price list: how fast every profile and every shortcut alone is, and how good, on the same drawn clips.

Speed is that of `Runtime.frames`, from arrays to arrays: no file is read or written, faces are known. Quality is the
evaluation's (`hp_trt.measure.evaluation`), self-reenactment, with the PSNR of each to `exact`. Both in one run on one
machine. Of a bundle that speech drives it is `hp_trt.measure.bench.talk_prices`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines import families
from engines.bundle import Bundle
from engines.errors import InputError
from engines.families import Family
from hp_trt.config import RuntimeConfig
from hp_trt.hunyuanportrait.profiles import find_profile, fitted, graphs, own_profiles, read_profiles, sampling_of
from hp_trt.measure.bench.drawn import DrawnConfig
from hp_trt.open_graphs import open_backend
from hp_trt.profiles import Profile

FORMAT, SCHEMA = "hp-trt price list", 1
SHORTCUTS = Path(__file__).with_name("shortcuts.toml")
FIRST = "exact"  # what the others are compared with
_MEASURES = ("psnr", "ssim", "lmd", "landmark_correlation", "seam_ratio", "flicker", "psnr_to_first")
Tell = Callable[[str, int, int], None]  # what, done, total


@dataclass(frozen=True, kw_only=True)
class PriceConfig(DrawnConfig):
    """What to price. Checked when made; raises InputError."""

    profiles: tuple[str, ...]  # names, FILE.toml, or "all"
    seeds: str = "0:4"  # drawn clips, as the evaluation's
    frames: int = 50  # of each
    runs: int = 3  # of the clip that is timed

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise InputError(f"--runs must be at least 1, got {self.runs}")
        if not self.profiles:
            raise InputError("no profile to price; give --profiles all, or names with commas between")

    def chosen(self) -> list[Profile]:
        """`exact` first, then the asked for; all: the package's, then every shortcut alone."""
        found = [find_profile(FIRST)]
        for name in self.profiles:
            if name == "all":
                found += [*own_profiles().values(), *read_profiles(SHORTCUTS).values()]
            else:
                found.append(_priced(name))
        return list({profile.name: profile for profile in found}.values())

    def left_out(self, has: Container[str]) -> dict[str, list[str]]:
        """Of "all", the profiles whose graphs a bundle lacks, and which, and those of products that the family lacks.

        Those asked for by name are not left out.
        """
        named = {FIRST, *(_priced(name).name for name in self.profiles if name != "all")}
        family = families.find(self.family)
        lacks = {
            p.name: other_products(family, p, self.bundle)
            or [graph for graph in graphs(fitted(p, has)) if graph not in has]
            for p in self.chosen()
        }
        return {name: missing for name, missing in lacks.items() if missing and name not in named}


def prices(config: PriceConfig, tell: Tell = lambda what, done, total: None) -> dict[str, Any]:
    """The report as JSON data. Raises what `hp_trt.Runtime` and the evaluation raise.

    format, schema   "hp-trt price list", 1
    machine          as in `runtime.bench`
    bundle           path, preset, precision, weights
    clips            seeds, frames
    left_out         {profile: [what it lacks: graphs of the bundle, products of the family]}, of all
    rows             [{profile, about, mode, steps, frames_per_s, speedup, first_frame_s, runs [s],
                     psnr, psnr_cost (that of exact less this one's), ssim, lmd, ...}]; null: cannot be had
    """
    from hp_trt.measure.evaluation.config import EvaluateConfig
    from hp_trt.measure.evaluation.evaluate import evaluate

    chosen = config.chosen()  # a name that there is not is told before the bundle is opened
    config = config.settled("--profiles")
    left_out = config.left_out(Bundle.open(config.bundle, family=config.family).manifest.graphs)
    profiles = [profile for profile in chosen if profile.name not in left_out]
    speeds = []
    for number, profile in enumerate(profiles):
        tell(f"speed of {profile.name}", number, 2 * len(profiles))
        speeds.append(_speed(config, profile))
    report = evaluate(
        EvaluateConfig(
            protocol="self",
            seeds=config.seeds,
            frames=config.frames,
            bundles=(config.bundle,),
            runtimes=tuple(config.runtime(profile) for profile in profiles),
        ),
        lambda what, done, total: tell(
            f"quality: {what}", len(profiles) + done * len(profiles) // total, 2 * len(profiles)
        ),
    )
    columns = [column for column in report["columns"] if column["kind"] == "bundle"]
    still = next(column for column in report["columns"] if column["kind"] == "still")
    rows = [_row(*both) for both in zip(profiles, speeds, columns, strict=True)]
    for row in rows:
        row["speedup"] = row["frames_per_s"] / rows[0]["frames_per_s"]
        row["psnr_cost"] = rows[0]["psnr"] - row["psnr"]
        row["psnr_over_still"] = row["psnr"] - still["metrics"]["psnr"]["mean"]
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "machine": config.machine(),
        "bundle": {name: columns[0][name] for name in ("bundle", "preset", "precision", "weights")},
        "clips": {"seeds": config.seeds, "frames": config.frames},
        "left_out": left_out,
        "rows": rows,
    }


def other_products(family: Family, profile: Profile, bundle: Path) -> list[str]:
    """The products of a profile that the family has not."""
    if not family.computes(profile.quantize):
        return [f"{profile.quantize} products in {family.name}"]
    has_bf16 = family.in_bf16 and open_backend(RuntimeConfig(family=family.name), bundle).has_bf16
    lacks = profile.precision == "bf16" and not has_bf16
    return [f"bf16 products in {family.name} on this machine"] if lacks else []


def _priced(name: str) -> Profile:
    """A shortcut's name is as good as a profile's."""
    alone = read_profiles(SHORTCUTS)
    return alone[name] if name in alone else find_profile(name)


def _speed(config: PriceConfig, profile: Profile) -> dict[str, Any]:
    """One drawn clip, its portrait encoded beforehand, once to warm up and `runs` times."""
    from hp_trt.api import Runtime
    from hp_trt.measure.evaluation.config import parse_seeds
    from hp_trt.measure.evaluation.drawn import DrawnPairs

    with Runtime(config.bundle, config.runtime(profile)) as runtime:
        pair = DrawnPairs("self", parse_seeds(config.seeds)[:1], config.frames).pair(
            0, runtime.bundle.manifest.geometry["crop_px"]
        )
        portrait = runtime.portrait(pair.portrait, landmarks=pair.portrait_faces)
        walls_s, firsts_s = [], []
        for run in range(1 + config.runs):
            start_s = time.perf_counter()
            first_s = None
            for _ in runtime.frames(portrait, pair.driving, landmarks=pair.driving_faces):
                first_s = first_s or time.perf_counter() - start_s
            if run:
                walls_s.append(time.perf_counter() - start_s)
                firsts_s.append(first_s)
        sampling = sampling_of(runtime.bundle.manifest.sampling, profile)
    return {
        "steps": sampling.executed_steps,
        "rows_a_step": max(len(step.rows) for step in sampling.guidance()),
        "frames_per_s": config.frames / statistics.median(walls_s),
        "first_frame_s": statistics.median(s for s in firsts_s if s is not None),
        "runs": walls_s,
    }


def _row(profile: Profile, speed: Mapping[str, Any], column: Mapping[str, Any]) -> dict[str, Any]:
    metrics = column["metrics"]
    quality = {key: metrics[key]["mean"] if key in metrics else None for key in _MEASURES}
    return {"profile": profile.name, "about": profile.about, "mode": profile.mode, **speed, **quality}


def judged_by(report: Mapping[str, Any]) -> str:
    """The key of a row by which it is better than another."""
    return "jaw_correlation" if report.get("protocol") == "talk" else "psnr"


def pareto(rows: Sequence[Mapping[str, Any]], key: str = "psnr") -> list[str]:
    """The profiles that no other is both faster and better than, by `key`, fastest first."""
    best, kept = float("-inf"), []
    rated = [row for row in rows if row[key] is not None]
    for row in sorted(rated, key=lambda row: (-row["frames_per_s"], -row[key])):
        if row[key] > best:
            best = row[key]
            kept.append(row["profile"])
    return kept
