"""The price list: how fast every profile and every shortcut alone is, and how good, on the same drawn people.

Speed is from arrays to arrays: no file is read or written. Quality is the evaluation's (`hp_trt.measure.evaluation`).
Both in one run on one machine. What a bundle's model makes, and by which numbers it is judged, its `PricedRoom` says.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engines import families
from engines.bundle import Bundle
from engines.errors import InputError
from engines.families import Family
from engines.manifest import MANIFEST_NAME
from hp_trt.config import RuntimeConfig
from hp_trt.interface.auto_family import settled_family
from hp_trt.measure.bench.drawn import DrawnConfig
from hp_trt.open_graphs import open_backend
from hp_trt.profiles import Profile, Profiles

if TYPE_CHECKING:
    from hp_trt.measure.evaluation.config import End
    from hp_trt.measure.evaluation.config import Protocol as Evaluated

FORMAT, SCHEMA = "hp-trt price list", 1
FIRST = "exact"  # what the others are compared with
Tell = Callable[[str, int, int], None]  # what, done, total
ROOMS = {  # model -> module:class, imported when a bundle asks for it
    "hunyuanportrait": "hp_trt.measure.bench.video_prices:PricedVideo",
    "hallo2": "hp_trt.measure.bench.talk_prices:PricedTalk",
    "enhancer": "hp_trt.measure.bench.enhance_prices:PricedEnhancer",
}


@dataclass(frozen=True, kw_only=True)
class PriceConfig(DrawnConfig):
    """What to price. Checked when made; raises InputError."""

    profiles: tuple[str, ...]  # names, FILE.toml, or "all"
    seeds: str = "0:4"  # drawn clips, as the evaluation's
    frames: int | None = None  # of each; None: the room's
    runs: int = 3  # of the clip that is timed

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise InputError(f"--runs must be at least 1, got {self.runs}")
        if not self.profiles:
            raise InputError("no profile to price; give --profiles all, or names with commas between")


class PricedRoom(Protocol):
    """One model, as the price list sees it."""

    @property
    def protocol(self) -> Evaluated: ...  # of the evaluation
    @property
    def ends(self) -> tuple[End, ...]: ...  # of its yardstick
    @property
    def profiles(self) -> Profiles: ...
    @property
    def shortcuts(self) -> Path | None: ...  # more of them, each alone
    @property
    def measures(self) -> tuple[str, ...]: ...  # of the evaluation, that a row has
    @property
    def frames(self) -> int: ...  # of a clip, where nobody asks for others

    def measured_frames(self, frames: int) -> int:
        """Of each clip that is evaluated, where those that are timed have so many."""
        ...

    def lacks(self, profile: Profile, config: PriceConfig, has: Container[str]) -> list[str]:
        """What the profile needs and is not there: graphs beside those that the bundle `has`, products of a family."""
        ...

    def speed(self, config: PriceConfig, frames: int, profile: Profile) -> dict[str, Any]:
        """Of a row: `timed` of a drawn clip, and what else there is to say of the work."""
        ...

    def compare(self, rows: Sequence[dict[str, Any]], report: Mapping[str, Any]) -> None:
        """Add to each row what it is beside the first, and beside the evaluation's ends."""
        ...


def prices(config: PriceConfig, tell: Tell = lambda what, done, total: None) -> dict[str, Any]:
    """The report as JSON data. Raises what `hp_trt.Runtime`, `hp_trt.Enhancer` and the evaluation raise.

    format, schema   "hp-trt price list", 1
    protocol         "self" | "talk" | "enhance", of the evaluation
    machine          as in `runtime.bench`
    bundle           path, preset, precision, weights
    clips            seeds, frames
    left_out         {profile: [what it lacks: graphs of the bundle, products of the family]}, of all
    rows             [{profile, about, mode, frames_per_s, speedup, core_s (of all cores, a frame), core_speedup,
                     first_frame_s, runs [s], and the numbers of the model's room: psnr, psnr_cost (that of exact less
                     this one's), ssim, lmd, ...}]; null: cannot be had
    """
    from hp_trt.measure.evaluation.config import EvaluateConfig
    from hp_trt.measure.evaluation.evaluate import evaluate

    room = room_of(config.bundle)
    profiles = chosen(room, config.profiles)  # a name that there is not is told before the bundle is opened
    config = replace(config, family=settled_family(config.bundle, config.family, config.device_id))
    lacking = left_out(room, config, profiles, Bundle.open(config.bundle, family=config.family).manifest.graphs)
    profiles = [profile for profile in profiles if profile.name not in lacking]
    frames, count = config.frames or room.frames, len(profiles)
    speeds = []
    for number, profile in enumerate(profiles):
        tell(f"speed of {profile.name}", number, 2 * count)
        speeds.append(room.speed(config, frames, profile))
    report = evaluate(
        EvaluateConfig(
            protocol=room.protocol,
            seeds=config.seeds,
            frames=room.measured_frames(frames),
            bundles=(config.bundle,),
            runtimes=tuple(config.runtime(profile) for profile in profiles),
            ends=room.ends,
        ),
        lambda what, done, total: tell(f"quality: {what}", count + done * count // total, 2 * count),
    )
    columns = [column for column in report["columns"] if column["kind"] == "bundle"]
    rows = [_row(room, *each) for each in zip(profiles, speeds, columns, strict=True)]
    for row in rows:
        row["speedup"] = row["frames_per_s"] / rows[0]["frames_per_s"]
        row["core_speedup"] = rows[0]["core_s"] / row["core_s"]
    room.compare(rows, report)
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "protocol": room.protocol,
        "machine": config.machine(),
        "bundle": {name: columns[0][name] for name in ("bundle", "preset", "precision", "weights")},
        "clips": {"seeds": config.seeds, "frames": frames},
        "left_out": lacking,
        "rows": rows,
    }


def room_of(bundle: Path) -> PricedRoom:
    """Of the bundle's model; where there is no bundle, which is told when it is opened, or another model, the first."""
    model = ""
    if (bundle / MANIFEST_NAME).is_file():
        model = Bundle.open(bundle, family="").manifest.model
    return find_room(model if model in ROOMS else next(iter(ROOMS)))


@cache
def find_room(model: str) -> PricedRoom:
    """Of a model by its name."""
    module, _, found = ROOMS[model].partition(":")
    room: PricedRoom = getattr(import_module(module), found)()
    return room


def chosen(room: PricedRoom, names: Iterable[str]) -> list[Profile]:
    """`exact` first, then the asked for; all: the package's, then every shortcut alone. Raises InputError."""
    alone = {} if room.shortcuts is None else room.profiles.read(room.shortcuts)
    found = [room.profiles.find(FIRST)]
    for name in names:
        if name == "all":
            found += [*room.profiles.own().values(), *alone.values()]
        else:  # a shortcut's name is as good as a profile's
            found.append(alone[name] if name in alone else room.profiles.find(name))
    return list({profile.name: profile for profile in found}.values())


def left_out(
    room: PricedRoom, config: PriceConfig, profiles: Sequence[Profile], has: Container[str]
) -> dict[str, list[str]]:
    """Of "all", the profiles that cannot be had, and what each lacks. Those asked for by name are not left out."""
    named = {profile.name for profile in chosen(room, [name for name in config.profiles if name != "all"])}
    lacks = {profile.name: room.lacks(profile, config, has) for profile in profiles}
    return {name: missing for name, missing in lacks.items() if missing and name not in named}


def other_products(family: Family, profile: Profile, bundle: Path) -> list[str]:
    """The products of a profile that the family has not."""
    if not family.computes(profile.quantize):
        return [f"{profile.quantize} products in {family.name}"]
    has_bf16 = family.in_bf16 and open_backend(RuntimeConfig(family=family.name), bundle).has_bf16
    lacks = profile.precision == "bf16" and not has_bf16
    return [f"bf16 products in {family.name} on this machine"] if lacks else []


def products_lacking(config: PriceConfig, profile: Profile) -> list[str]:
    """`other_products` of the family that is priced."""
    return other_products(families.find(config.family), profile, config.bundle)


def timed(make: Callable[[], Iterator[Any]], *, frames: int, runs: int) -> dict[str, Any]:
    """`make` gives a clip's frames: once to warm up, and `runs` times by the clock and by what all cores did."""
    walls_s, cores_s, firsts_s = [], [], []
    for run in range(1 + runs):
        start_s, start_core_s, first_s = time.perf_counter(), time.process_time(), None
        for _ in make():
            first_s = first_s or time.perf_counter() - start_s
        if run and first_s is not None:
            walls_s.append(time.perf_counter() - start_s)
            cores_s.append(time.process_time() - start_core_s)
            firsts_s.append(first_s)
    return {
        "frames_per_s": frames / statistics.median(walls_s),
        "core_s": statistics.median(cores_s) / frames,
        "first_frame_s": statistics.median(firsts_s),
        "runs": walls_s,
    }


def _row(room: PricedRoom, profile: Profile, speed: Mapping[str, Any], column: Mapping[str, Any]) -> dict[str, Any]:
    metrics = column["metrics"]
    quality = {key: metrics[key]["mean"] if key in metrics else None for key in room.measures}
    return {"profile": profile.name, "about": profile.about, "mode": profile.mode, **speed, **quality}


def judged_by(report: Mapping[str, Any]) -> str:
    """The key of a row by which it is better than another."""
    return {"talk": "jaw_correlation", "enhance": "gain_plain"}.get(report.get("protocol", ""), "psnr")


def pareto(rows: Sequence[Mapping[str, Any]], key: str = "psnr") -> list[str]:
    """The profiles that no other is both faster and better than, by `key`, fastest first."""
    best, kept = float("-inf"), []
    rated = [row for row in rows if row[key] is not None]
    for row in sorted(rated, key=lambda row: (-row["frames_per_s"], -row[key])):
        if row[key] > best:
            best = row[key]
            kept.append(row["profile"])
    return kept
