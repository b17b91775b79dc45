"""The price list of a bundle that speech drives: how fast every profile and every shortcut alone is, and how good.

Speed is that of `Runtime.talk`, from samples to arrays. Quality is the evaluation's protocol talk, with the PSNR of
each to `exact`: whether the mouth follows is the price, because nobody can hear how a head should turn. Both in one run
on one machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engines import families
from engines.bundle import Bundle
from engines.manifest import MANIFEST_NAME
from hp_trt.hallo2.profiles import PROFILES, sampling_of
from hp_trt.interface.auto_family import settled_family
from hp_trt.measure.bench.prices import FIRST, FORMAT, SCHEMA, PriceConfig, Tell, other_products
from hp_trt.models import find_model
from hp_trt.profiles import Profile
from runtime.hallo2.presets import SAMPLE_RATE

SHORTCUTS = Path(__file__).with_name("talk_shortcuts.toml")
_MEASURES = (
    "jaw_correlation", "rounding_correlation", "jaw_in_time", "sync_c", "sync_d", "seam_ratio", "flicker",
    "psnr_to_first",
)  # fmt: skip


def speaks(bundle: Path) -> bool:
    """Whether speech drives the bundle's portraits; False where there is none, which is told when it is opened."""
    if not (bundle / MANIFEST_NAME).is_file():
        return False
    return find_model(Bundle.open(bundle, family="")).driver == "audio"


def chosen(names: tuple[str, ...]) -> list[Profile]:
    """`exact` first, then the asked for; all: the package's, then every shortcut alone. Raises InputError."""
    found, alone = [PROFILES.find(FIRST)], PROFILES.read(SHORTCUTS)
    for name in names:
        if name == "all":
            found += [*PROFILES.own().values(), *alone.values()]
        else:
            found.append(alone[name] if name in alone else PROFILES.find(name))
    return list({profile.name: profile for profile in found}.values())


def talk_prices(config: PriceConfig, tell: Tell = lambda what, done, total: None) -> dict[str, Any]:
    """The report as `hp_trt.measure.bench.prices.prices` has it, with "protocol": "talk", and in its rows the mouth's
    numbers in place of the picture's. Raises what `hp_trt.Runtime` and the evaluation raise."""
    from hp_trt.measure.evaluation.config import EvaluateConfig
    from hp_trt.measure.evaluation.evaluate import evaluate

    profiles = chosen(config.profiles)
    config = replace(config, family=settled_family(config.bundle, config.family, config.device_id))
    left_out = _left_out(config, profiles)
    profiles = [profile for profile in profiles if profile.name not in left_out]
    speeds = []
    for number, profile in enumerate(profiles):
        tell(f"speed of {profile.name}", number, 2 * len(profiles))
        speeds.append(_speed(config, profile))
    report = evaluate(
        EvaluateConfig(
            protocol="talk",
            seeds=config.seeds,
            frames=config.frames,
            bundles=(config.bundle,),
            runtimes=tuple(config.runtime(profile) for profile in profiles),
            ends=("still", "truth"),
        ),
        lambda what, done, total: tell(
            f"quality: {what}", len(profiles) + done * len(profiles) // total, 2 * len(profiles)
        ),
    )
    columns = [column for column in report["columns"] if column["kind"] == "bundle"]
    rows = [_row(*both) for both in zip(profiles, speeds, columns, strict=True)]
    for row in rows:
        row["speedup"] = row["frames_per_s"] / rows[0]["frames_per_s"]
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "protocol": "talk",
        "machine": config.machine(),
        "bundle": {name: columns[0][name] for name in ("bundle", "preset", "precision", "weights")},
        "clips": {"seeds": config.seeds, "frames": config.frames},
        "left_out": left_out,
        "rows": rows,
    }


def _left_out(config: PriceConfig, profiles: Sequence[Profile]) -> dict[str, list[str]]:
    """Of "all", the profiles of products that the family has not, and which. Those asked for by name stay."""
    family = families.find(config.family)
    lacks = {p.name: other_products(family, p, config.bundle) for p in profiles if p.name not in config.profiles}
    return {name: missing for name, missing in lacks.items() if missing}


def _speed(config: PriceConfig, profile: Profile) -> dict[str, Any]:
    """One sentence, its portrait encoded beforehand, once to warm up and `runs` times."""
    from hp_trt.api import Runtime
    from hp_trt.measure.evaluation.config import parse_seeds
    from hp_trt.measure.evaluation.spoken import SpokenPairs

    with Runtime(config.bundle, config.runtime(profile)) as runtime:
        size = runtime.bundle.manifest.geometry["crop_px"]
        pair = SpokenPairs(parse_seeds(config.seeds)[:1], config.frames).pair(0, size)
        assert pair.sound is not None
        portrait = runtime.portrait(pair.portrait, landmarks=pair.portrait_faces)
        walls_s, firsts_s = [], []
        for run in range(1 + config.runs):
            start_s, first_s = time.perf_counter(), None
            for _ in runtime.talk(portrait, (pair.sound, SAMPLE_RATE)):
                first_s = first_s or time.perf_counter() - start_s
            if run and first_s is not None:
                walls_s.append(time.perf_counter() - start_s)
                firsts_s.append(first_s)
        sampling = sampling_of(runtime.bundle.manifest.sampling, profile)
    return {
        "steps": sampling.steps,
        "rows_a_step": 1 if sampling.guidance == 1 else 2,
        "frames_per_s": config.frames / statistics.median(walls_s),
        "first_frame_s": statistics.median(firsts_s),
        "runs": walls_s,
    }


def _row(profile: Profile, speed: Mapping[str, Any], column: Mapping[str, Any]) -> dict[str, Any]:
    metrics = column["metrics"]
    quality = {key: metrics[key]["mean"] if key in metrics else None for key in _MEASURES}
    return {"profile": profile.name, "about": profile.about, "mode": profile.mode, **speed, **quality}
